"""Register a collective, propose new terms, and the preview of what a holder will see while it is typed."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from collectives import requirement_table, selectors
from collectives.errors import CollectiveError
from collectives.forms import FieldRows, SchemaFile, TermsForm
from collectives.services import agreed, collectives
from collectives.terms.description import build_terms
from collectives.terms.errors import TermsError
from collectives.views.access import needs_role, own_collective
from collectives.words import told

owner = needs_role("owner")
MORE = "more_rows"


@owner
@require_http_methods(["GET", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    """The four elements on one page. The key is made by the platform and sealed."""
    if request.method == "GET":
        return _page(request, TermsForm(), FieldRows(prefix="field"))
    aside = _without_signing(request)
    if aside is not None:
        return aside
    rows = FieldRows(request.POST, prefix="field")
    form = TermsForm(request.POST, rows=rows)
    if form.is_valid():
        try:
            made = collectives.register(actor=request.user, **form.terms_values)
            messages.success(
                request,
                _("Registered. Next: tell people about your collective.")
                if form.cleaned_data["manifests"]
                else _("Registered. Next: announce an algorithm, and tell people about your collective."),
            )
            return redirect("collective-console", made.pk)
        except CollectiveError as error:
            form.add_error(None, str(error))
    return _page(request, form, rows)


@owner
@require_http_methods(["GET", "POST"])
def propose(request: HttpRequest, collective_id: uuid.UUID) -> HttpResponse:
    """A new version of the terms. Subscriptions keep the version their wallet signed."""
    collective = own_collective(request, collective_id)
    if request.method == "GET":
        card = selectors.card(collective.pk)
        assert card is not None
        form, rows = _filled(card.terms.document)
        return _page(request, form, rows, collective=collective)
    aside = _without_signing(request, collective=collective)
    if aside is not None:
        return aside
    rows = FieldRows(request.POST, prefix="field")
    form = TermsForm(request.POST, rows=rows)
    if form.is_valid():
        try:
            collectives.propose_terms(actor=request.user, collective=collective, **form.terms_values)
            messages.success(
                request, _("The new version is today's offer. Nobody who subscribed before is moved to it.")
            )
            return redirect("collective-terms", collective.pk)
        except CollectiveError as error:
            form.add_error(None, str(error))
    return _page(request, form, rows, collective=collective)


@owner
@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """A fragment: the consent text and the fields as they would stand, or what is missing."""
    rows = FieldRows(request.POST, prefix="field")
    form = TermsForm(request.POST, rows=rows)
    document: dict[str, Any] | None = None
    problem = ""
    form.is_valid()
    values = form.terms_values
    requirement = values.pop("requirement", None)
    if any(name.startswith("class_") for name in form.errors):
        values.pop("algorithm_class", None)
    if requirement is None:
        problem = _("Describe at least one field to see what a holder will read.")
    else:
        try:
            document = build_terms(**_draft(values) | _agreed(values, requirement))
        except (TermsError, CollectiveError) as error:
            problem = told(error)
    return render(request, "collectives/_preview.html", {"document": document, "problem": problem})


def _agreed(values: dict[str, Any], requirement: dict[str, Any]) -> dict[str, Any]:
    """The requirement, and the algorithms that are chosen so far."""
    found = agreed.chosen(values.pop("manifests", None) or [], requirement)
    named = {"permitted_manifests": [row.manifest_hash for row in found], "algorithms": agreed.named(found)}
    return {"requirement": requirement} | (named if found else {})


def _draft(values: dict[str, Any]) -> dict[str, Any]:
    """Terms values with sensible stand-ins for what is not typed yet, and for what the platform fills in."""
    stand_ins = {
        "name": _("Your collective"),
        "purpose": _("(the purpose)"),
        "task_description": _("(the task)"),
        "not_for": "",
        "rate": 5 * 10**15,
        "notice_seconds": settings.NOTICE_MIN_SECONDS,
        "silence": "without",
        "bucket_min": 38,
        "release_min": 100,
        "assurance": "declared",
        "order_policy": "open",
        "development": False,
    }
    fixed = {
        "collective_id": str(uuid.UUID(int=0)),
        "collective_key": "00" * 32,
        "terms_version": 1,
        "token": settings.TOKEN_SYMBOL,
        "privacy_level": "aggregate",
        "agreement": {"chain_id": settings.CHAIN_ID, "registry": "0x" + "00" * 20},
        "valid_seconds": collectives.VALID_SECONDS,
        "created": int(time.time()),
        "permitted_manifests": [],
    }
    typed = {name: value for name, value in values.items() if value not in (None, "")}
    typed.pop("manifests", None)
    return stand_ins | typed | fixed


def _filled(document: dict[str, Any]) -> tuple[TermsForm, Any]:
    source, rows = _as_rows(document["requirement"])
    initial = dict(document) | {"rate": int(document["rate"]), "manifests": document["permitted_manifests"]}
    initial |= source | TermsForm.class_initial(document["algorithm_class"])
    return TermsForm(initial=initial), rows


def _without_signing(request: HttpRequest, **context: Any) -> HttpResponse | None:
    """What the form's other buttons do; None when it is sent to be signed. Nothing is saved here."""
    if MORE in request.POST:
        return _with_more_rows(request, **context)
    if request.POST.get("action") == "import":
        return _imported(request, **context)
    if request.POST.get("action") == "export":
        return _exported(request, **context)
    return None


def _kept(request: HttpRequest) -> dict[str, Any]:
    """What was typed, to fill the form again unchecked."""
    several = {name: request.POST.getlist(name) for name in ("manifests", "class_outputs")}
    return request.POST.dict() | several


def _imported(request: HttpRequest, **context: Any) -> HttpResponse:
    """The requirement of a file in the table, or in the JSON text where a table cannot say it; the rest stays as typed."""
    file = SchemaFile(request.POST, request.FILES)
    if not file.is_valid():
        rows = FieldRows(request.POST, prefix="field")
        return _page(request, TermsForm(initial=_kept(request)), rows, file=file, **context)
    source, rows = _as_rows(file.cleaned_data["schema_file"])
    form = TermsForm(initial=_kept(request) | source)
    return _page(request, form, rows, **context)


def _exported(request: HttpRequest, **context: Any) -> HttpResponse:
    rows = FieldRows(request.POST, prefix="field")
    form = TermsForm(request.POST, rows=rows)
    form.is_valid()
    requirement = form.terms_values.get("requirement")
    if requirement is None:
        return _page(request, form, rows, **context)
    answer = HttpResponse(
        json.dumps(requirement, indent=2, ensure_ascii=False), content_type="application/schema+json"
    )
    answer["Content-Disposition"] = 'attachment; filename="data-requirement.json"'
    return answer


def _as_rows(requirement: dict[str, Any]) -> tuple[dict[str, str], Any]:
    rows = requirement_table.rows_of(requirement)
    source = {
        "source": "table" if rows else "json",
        "schema": json.dumps(requirement, indent=2, ensure_ascii=False),
    }
    return source, FieldRows(prefix="field", initial=rows or [])


def _with_more_rows(request: HttpRequest, **context: Any) -> HttpResponse:
    """Two more lines in the table, everything typed so far kept; nothing is checked or saved."""
    data: QueryDict = request.POST.copy()
    typed = data.get("field-TOTAL_FORMS", "")
    total = int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 4 else 0
    data["field-TOTAL_FORMS"] = str(min(total + 2, 200))
    rows = FieldRows(data, prefix="field")
    return _page(request, TermsForm(initial=_kept(request)), rows, **context)


def _page(request: HttpRequest, form: TermsForm, rows: Any, **context: Any) -> HttpResponse:
    context = {"file": SchemaFile()} | context | {"form": form, "rows": rows}
    context["class_open"] = any(
        form[name].errors or form[name].value() for name in form.fields if name.startswith("class_")
    )
    wrong = form.errors or context["file"].errors
    return render(request, "collectives/register.html", context, status=422 if wrong else 200)
