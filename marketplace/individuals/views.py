"""My wallet: pairing, review and subscribe, subscriptions, notices. Views translate; services decide."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from collectives import selectors as collectives
from collectives.example_record import label
from marketplace.accounts.access import needs_role
from marketplace.accounts.models import Role
from marketplace.individuals import selectors, services
from marketplace.individuals.errors import IndividualError
from marketplace.individuals.forms import ChoiceForm, OfferForm, WalletNameForm
from marketplace.individuals.models import SubscriptionLink, WalletLink
from marketplace.individuals.qr import drawn
from marketplace.individuals.server_description import pairing_link, pin
from marketplace.settlement.selectors import next_epoch

individual = needs_role(Role.INDIVIDUAL)


@individual
@require_safe
def wallet(request: HttpRequest) -> HttpResponse:
    context = {
        "wallets": selectors.wallets(request.user),
        "links": selectors.links(request.user),
        "notices": selectors.open_notices(request.user),
        "payout": dict(zip(("due", "note"), next_epoch(), strict=True)),
    }
    return render(request, "individuals/wallet.html", context)


@individual
@require_safe
def wallet_status(request: HttpRequest, wallet_id: uuid.UUID) -> HttpResponse:
    """How the wallet service sees this wallet: a fragment for htmx, a page for a browser without scripts."""
    found = _wallet(request, wallet_id)
    context = {"wallet": found, "seen": selectors.wallet_state(found)}
    template = "individuals/_wallet_status.html" if request.htmx else "individuals/wallet_status.html"  # type: ignore[attr-defined]
    return render(request, template, context)


@individual
@require_POST
def wallet_rename(request: HttpRequest, wallet_id: uuid.UUID) -> HttpResponse:
    form = WalletNameForm(request.POST)
    if form.is_valid():
        services.rename_wallet(
            account=request.user, wallet=_wallet(request, wallet_id), label=form.cleaned_data["label"]
        )
        messages.success(request, _("The name is saved."))
    else:
        messages.error(request, _("A name has at most 60 characters."))
    return redirect("wallet")


@individual
@require_POST
def wallet_remove(request: HttpRequest, wallet_id: uuid.UUID) -> HttpResponse:
    found = services.remove_wallet(account=request.user, wallet=_wallet(request, wallet_id))
    if found.status == WalletLink.Status.REMOVED:
        messages.success(
            request, _("The wallet is no longer paired. Permits in it stay until you revoke them there.")
        )
    else:
        messages.warning(
            request,
            _(
                "The order to forget this wallet is kept. It is carried out when the wallet service answers again."
            ),
        )
    return redirect("wallet")


@individual
@never_cache
@require_http_methods(["GET", "POST"])
def pair(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return redirect("pairing", services.start_pairing(account=request.user).pk)
    return render(request, "individuals/pair.html")


@individual
@never_cache
@require_safe
def pairing(request: HttpRequest, pairing_id: uuid.UUID) -> HttpResponse:
    """The code, the link and the QR code while they are good; a fragment of the state for htmx."""
    found = selectors.pairing(request.user, pairing_id)
    if found is None:
        raise Http404
    code = services.code_of(found)
    link = pairing_link(code)
    context: dict[str, Any] = {"pairing": found, "code": code, "link": link, "pin": pin()}
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "individuals/_pairing_status.html", context)
    context["qr"] = drawn(link)
    return render(request, "individuals/pairing.html", context)


@individual
@require_http_methods(["GET", "POST"])
def subscribe(request: HttpRequest, collective_id: uuid.UUID) -> HttpResponse:
    """The consent screen. Subscribe sends the signed terms to the wallet; Not now goes back and asks no more."""
    card = collectives.card(collective_id)
    if card is None:
        raise Http404
    known = selectors.open_link(request.user, collective_id)
    if known is not None:
        return redirect("subscription", known.pk)
    if card.collective.status != "active":
        return redirect("collective", collective_id)  # its page says why, and what that means
    form = OfferForm(
        request.POST if request.method == "POST" else None,
        wallets=selectors.active_wallets(request.user),
        valid_seconds=card.terms.document["valid_seconds"],
    )
    if request.method == "POST" and form.is_valid():
        try:
            link = services.send_offer(
                account=request.user,
                collective_id=collective_id,
                wallet=form.cleaned_data["wallet"],
                valid_seconds=form.cleaned_data["lasts"],
            )
            return redirect("subscription", link.pk)
        except IndividualError as error:
            form.add_error(None, str(error))
    context = {"card": card, "terms": card.terms.document, "form": form}
    return render(request, "individuals/subscribe.html", context, status=422 if form.errors else 200)


@individual
@require_safe
def subscription(request: HttpRequest, link_id: uuid.UUID) -> HttpResponse:
    link = _link(request, link_id)
    context = _subscription_context(link)
    template = "individuals/_subscription_status.html" if request.htmx else "individuals/subscription.html"  # type: ignore[attr-defined]
    return render(request, template, context)


def _subscription_context(link: SubscriptionLink) -> dict[str, Any]:
    card = collectives.card(link.collective_id)
    algorithms = selectors.algorithms(link) if link.status == "subscribed" else []
    pinned = collectives.version_by_hash(link.terms_hash)
    subscribed = collectives.subscription_state(link.subscription_key) if link.subscription_key else None
    return {
        "link": link,
        "card": card,
        "pinned": pinned,
        "current": card.terms if card else None,
        "subscription": subscribed,
        "stop_pending": bool(link.subscription_key) and collectives.stop_is_pending(link.subscription_key),
        "notices": [row.admission for row in algorithms if row.asks],
        "algorithms": algorithms,
    }


@individual
@require_POST
def revoke(request: HttpRequest, link_id: uuid.UUID) -> HttpResponse:
    """One click, like subscribing. What was done and what follows stands on the subscription's page."""
    link = services.revoke(account=request.user, link=_link(request, link_id))
    return redirect("subscription", link.pk)


@individual
@require_POST
def forget(request: HttpRequest, link_id: uuid.UUID) -> HttpResponse:
    try:
        services.delete_link(account=request.user, link=_link(request, link_id))
        messages.success(request, _("The entry is deleted. This site no longer knows that it was yours."))
    except IndividualError as error:
        messages.error(request, str(error))
    return redirect("wallet")


@individual
@require_http_methods(["GET", "POST"])
def notice(request: HttpRequest, link_id: uuid.UUID, notice_ref: uuid.UUID) -> HttpResponse:
    link = _link(request, link_id)
    admission = collectives.notice(link.collective_id, notice_ref)
    if admission is None:
        raise Http404
    form = ChoiceForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        try:
            if form.is_valid():
                services.choose_on_notice(
                    account=request.user,
                    link=link,
                    notice_ref=str(notice_ref),
                    choice=form.cleaned_data["choice"],
                )
                return redirect("notice", link.pk, notice_ref)
        except IndividualError as error:
            messages.error(request, str(error))
    terms = collectives.version_by_hash(link.terms_hash)
    context = {
        "link": _link(request, link_id),
        "admission": admission,
        "over": admission.effective_at <= timezone.now(),
        "reads": _titles(terms, admission.algorithm.manifest["inputs"]),
        "predicts": _titles(terms, admission.algorithm.manifest.get("target", [])),
        "form": form,
        "choice": selectors.last_choice(link, str(notice_ref)),
        "agreed": link.terms_hash in collectives.terms_naming(admission),
        "terms": terms,
    }
    return render(request, "individuals/notice.html", context, status=422 if form.errors else 200)


def _titles(terms: Any, names: list[str]) -> list[str]:
    """Fields as the signed terms call them for people."""
    known = terms.document["requirement"]["properties"] if terms else {}
    return [label(name, known.get(name, {})) for name in names]


def _wallet(request: HttpRequest, wallet_id: uuid.UUID) -> WalletLink:
    found = selectors.wallet(request.user, wallet_id)
    if found is None:
        raise Http404
    return found


def _link(request: HttpRequest, link_id: uuid.UUID) -> SubscriptionLink:
    found = selectors.link(request.user, link_id)
    if found is None:
        raise Http404
    return found
