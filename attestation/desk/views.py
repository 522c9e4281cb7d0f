"""The desk's pages for its owner, and what wallets and collectives ask of it. Views translate; services decide."""

from __future__ import annotations

import json
import uuid
from importlib import resources
from typing import Any
from urllib.parse import urlencode

import segno
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from attestation.desk import registries, sealing, services, unlinkable
from attestation.desk.errors import DeskError
from attestation.desk.forms import AttestForm, DeskForm, RevokeForm
from attestation.desk.models import Credential, Issuer, Registry

FORM = frozenset({"form.js", "german_form.js", "phrases.js", "rules.js"})
"""Of the data creation tool (collectives.datatool): one form for what a requirement asks for, wherever it is filled in."""
LARGEST_CALL, LARGEST_REQUESTS = 4096, 256 * 1024


@login_required
@require_http_methods(["GET", "POST"])
def desks(request: HttpRequest) -> HttpResponse:
    form = DeskForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = services.open_desk(account=str(request.user.pk), name=form.cleaned_data["name"])
        return redirect("issuer-desk", made.pk)
    mine = Issuer.objects.filter(account=str(request.user.pk))
    return render(request, "issuer/desks.html", {"form": form, "desks": mine})


@login_required
@never_cache
@require_safe
def desk(request: HttpRequest, issuer_id: uuid.UUID) -> HttpResponse:
    issuer = _issuer(request, issuer_id)
    services.sweep()
    return render(
        request, "issuer/desk.html", {"desk": issuer, "credentials": issuer.credentials.all()[:200]}
    )


@login_required
@require_POST
def unlinkable_keys(request: HttpRequest, issuer_id: uuid.UUID) -> HttpResponse:
    issuer = _issuer(request, issuer_id)
    try:
        unlinkable.ask_for_keys(issuer)
        messages.success(request, _("The keys are being made. This takes a minute or two."))
    except DeskError as error:
        messages.error(request, str(error))
    return redirect("issuer-desk", issuer.pk)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def attest(request: HttpRequest, issuer_id: uuid.UUID) -> HttpResponse:
    issuer = _issuer(request, issuer_id)
    form = AttestForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = services.attest(issuer=issuer, **form.cleaned_data)
            return redirect("issuer-credential", issuer.pk, made.pk)
        except DeskError as error:
            form.add_error("requirement" if error.code == "bad_requirement" else "values", str(error))
    return render(request, "issuer/attest.html", {"desk": issuer, "form": form})


@require_safe
def form_script(request: HttpRequest, name: str) -> HttpResponse:
    """The script that makes a form from a requirement, which `attest` draws its fields with."""
    if name not in FORM:
        raise Http404
    body = resources.files("collectives.datatool").joinpath(name).read_bytes()
    return HttpResponse(body, content_type="text/javascript; charset=utf-8")


@login_required
@never_cache
@require_safe
def credential(request: HttpRequest, issuer_id: uuid.UUID, credential_id: uuid.UUID) -> HttpResponse:
    """The link for the wallet while the offer is open; afterwards only what happened."""
    issuer = _issuer(request, issuer_id)
    services.sweep()
    found = _credential(issuer, credential_id)
    context: dict[str, Any] = {"desk": issuer, "credential": found, "form": RevokeForm()}
    if found.status == Credential.Status.OFFERED:
        context["link"] = link = offer_link(found)
        # The drawing is ours from a text of ours; classes instead of colours, so that no style stands in the page.
        context["qr"] = segno.make(link, error="m").svg_inline(
            scale=4, border=2, dark="black", light="white", omitsize=True, svgclass=None, lineclass=None
        )
    return render(request, "issuer/credential.html", context)


@login_required
@require_POST
def revoke(request: HttpRequest, issuer_id: uuid.UUID, credential_id: uuid.UUID) -> HttpResponse:
    issuer = _issuer(request, issuer_id)
    form = RevokeForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    services.revoke(credential=_credential(issuer, credential_id), reason=reason)
    messages.success(
        request, _("Revoked. Wallets and collectives see it when they next look, within 15 minutes.")
    )
    return redirect("issuer-desk", issuer.pk)


def offer_link(found: Credential) -> str:
    """What the wallet is given: where to collect, the code, and whose signature to expect."""
    code = sealing.code_for(found.pk.bytes)
    return "cssi://credential?" + urlencode(
        {"url": settings.ISSUER_URL, "code": code, "issuer": found.issuer.did}
    )


# --- for wallets and collectives -----------------------------------------------------------------------------------------------


@csrf_exempt
@require_POST
def collect(request: HttpRequest) -> HttpResponse:
    """`{code, holder_key, created, signature}` -> `{credential}`; authenticated by code and signature."""
    return _answer(request, lambda call: services.collect(**call))


@csrf_exempt
@require_POST
def collect_unlinkable(request: HttpRequest) -> HttpResponse:
    """The same call with `requests` (field -> request made from the offers of `collect`) -> `{credentials, registry}`."""
    return _answer(request, lambda call: unlinkable.issue(**call), {"requests": dict}, LARGEST_REQUESTS)


@csrf_exempt
@require_POST
def received(request: HttpRequest) -> HttpResponse:
    """The wallet has the credential: `{code, holder_key, created, signature}` -> `{}`."""

    def work(call: dict[str, Any]) -> dict[str, Any]:
        services.received(**call)
        return {}

    return _answer(request, work)


@require_safe
def status(request: HttpRequest, issuer_id: uuid.UUID) -> HttpResponse:
    """The signed status list. Names nobody; anybody may read it."""
    issuer = Issuer.objects.filter(pk=issuer_id).first()
    if issuer is None:
        raise Http404
    answer = HttpResponse(services.status_list(issuer), content_type="application/statuslist+jwt")
    answer["Cache-Control"] = "public, max-age=60"
    return answer


@require_safe
def revocations(request: HttpRequest, issuer_id: uuid.UUID, number: int) -> HttpResponse:
    """The signed list of what is revoked in a registry of credentials for proofs that link nothing. Names nobody; anybody may read it."""
    answer = HttpResponse(
        registries.revocations(_registry(issuer_id, number)),
        content_type="application/anoncreds-revocations+jwt",
    )
    answer["Cache-Control"] = "public, max-age=60"
    return answer


@require_safe
def tails(request: HttpRequest, issuer_id: uuid.UUID, number: int) -> HttpResponse:
    """What a wallet needs of that registry to prove that it is not in the list. The same for everybody, for good."""
    answer = HttpResponse(bytes(_registry(issuer_id, number).tails), content_type="application/octet-stream")
    answer["Cache-Control"] = "public, max-age=31536000, immutable"
    return answer


def _answer(
    request: HttpRequest, work: Any, more: dict[str, type] | None = None, most: int = LARGEST_CALL
) -> HttpResponse:
    try:
        return JsonResponse(work(_call(request, more or {}, most)))
    except DeskError as error:
        body = {"code": error.code, "detail": str(error)}
        return JsonResponse(body, status=error.status, content_type="application/problem+json")


def _call(request: HttpRequest, more: dict[str, type], most: int) -> dict[str, Any]:
    try:
        call = json.loads(request.body) if len(request.body) <= most else None
    except (ValueError, RecursionError):
        call = None
    kinds = {"code": str, "holder_key": str, "created": int, "signature": str} | more
    if not isinstance(call, dict) or {k: type(v) for k, v in call.items()} != kinds:
        raise DeskError("malformed", "Send code, holder_key, created and signature as one JSON object.")
    return call


def _issuer(request: HttpRequest, issuer_id: uuid.UUID) -> Issuer:
    found = Issuer.objects.filter(pk=issuer_id, account=str(request.user.pk)).first()
    if found is None:
        raise Http404
    return found


def _registry(issuer_id: uuid.UUID, number: int) -> Registry:
    found = Registry.objects.select_related("issuer").filter(issuer_id=issuer_id, number=number).first()
    if found is None:
        raise Http404
    return found


def _credential(issuer: Issuer, credential_id: uuid.UUID) -> Credential:
    found = issuer.credentials.filter(pk=credential_id).first()
    if found is None:
        raise Http404
    return found
