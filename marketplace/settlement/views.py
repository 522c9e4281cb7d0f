"""A consumer's funds, and a collective's settlement totals. No page of money names a person or a visit."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from collectives import selectors as collectives
from collectives.terms.description import tokens
from marketplace.accounts.access import needs_role
from marketplace.accounts.models import Role
from marketplace.settlement import assets, ddo, selectors, services
from marketplace.settlement.errors import ChainUnavailable, SettlementError
from marketplace.settlement.forms import AssetStateForm, BringForm, FaucetForm, OrderPriceForm, SendForm
from marketplace.settlement.models import Asset, FundsMovement, SettlementEpoch

EPOCHS_SHOWN = 50
MOVEMENTS_SHOWN = 20


@needs_role(Role.CONSUMER)
@require_safe
def funds(request: HttpRequest) -> HttpResponse:
    context = {
        "money": selectors.funds(request.user),
        "orders": selectors.orders_of(request.user),
        "movements": FundsMovement.objects.filter(wallet__account=request.user)[:MOVEMENTS_SHOWN],
        "form": FaucetForm() if settings.DEVELOPMENT else None,
        "bring": BringForm(auto_id="bring-%s"),
        "send": SendForm(auto_id="send-%s"),
        "chain_id": settings.CHAIN_ID,
        "blocked": selectors.new_jobs_blocked(),
    }
    return render(request, "settlement/funds.html", context)


@needs_role(Role.CONSUMER)
@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """The development faucet; the tokens arrive when the chain has confirmed them."""
    form = FaucetForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
        return redirect("funds")
    try:
        services.faucet(request.user, form.cleaned_data["amount"])
        messages.success(request, _("On its way. The balance changes when the chain has confirmed it."))
    except SettlementError as error:
        messages.error(request, str(error))
    except ChainUnavailable:
        messages.error(request, _("The chain does not answer now. Try again in a minute."))
    return redirect("funds")


@needs_role(Role.OWNER)
@require_safe
def collective(request: HttpRequest, collective_id: uuid.UUID) -> HttpResponse:
    """Visits and amounts per settlement epoch for one collective; never a line per person."""
    owned = collectives.owned(request.user, collective_id)
    card = collectives.card(collective_id)
    if owned is None or card is None:
        raise Http404
    asset = assets.find(Asset.Kind.COLLECTIVE, collective_id)
    context = {
        "collective": owned,
        "card": card,
        "epochs": epochs_of(collective_id),
        "totals": selectors.collective_totals(collective_id),
        "asset": asset,
        "did": ddo.did(asset.nft, asset.chain_id) if asset and asset.nft else "",
        "form": OrderPriceForm(initial={"price": tokens(int(asset.price))}) if asset else None,
        "state_form": AssetStateForm(initial={"state": asset.state}) if asset else None,
    }
    return render(request, "settlement/collective.html", context)


@needs_role(Role.OWNER)
@require_POST
def price(request: HttpRequest, collective_id: uuid.UUID) -> HttpResponse:
    """What one order costs from now on."""
    asset = assets.find(Asset.Kind.COLLECTIVE, collective_id)
    if collectives.owned(request.user, collective_id) is None or asset is None:
        raise Http404
    form = OrderPriceForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
        return redirect("collective-settlement", collective_id)
    try:
        assets.set_price(asset=asset, price=form.cleaned_data["price"], actor=request.user)
        messages.success(request, _("On its way. The price changes when the chain has confirmed it."))
    except SettlementError as error:
        messages.error(request, str(error))
    return redirect("collective-settlement", collective_id)


@needs_role(Role.OWNER)
@require_POST
def state(request: HttpRequest, collective_id: uuid.UUID) -> HttpResponse:
    """Whether the asset is listed and takes orders, in Ocean's own states."""
    asset = assets.find(Asset.Kind.COLLECTIVE, collective_id)
    form = AssetStateForm(request.POST)
    if collectives.owned(request.user, collective_id) is None or asset is None or not form.is_valid():
        raise Http404
    try:
        assets.set_state(asset=asset, state=form.cleaned_data["state"], actor=request.user)
        messages.success(request, _("It counts from now on; the chain shows it in a minute."))
    except SettlementError as error:
        messages.error(request, str(error))
    return redirect("collective-settlement", collective_id)


def epochs_of(collective_id: uuid.UUID) -> list[dict[str, Any]]:
    """Totals of a collective by settlement epoch, newest first, for the page and the API alike."""
    rates = {str(job.pk): int(job.rate) for job in collectives.jobs_of(collective_id)}
    rows = []
    for epoch in SettlementEpoch.objects.all()[:EPOCHS_SHOWN]:
        mine = [job for job in epoch.statement["document"]["jobs"] if job["job_id"] in rates]
        if mine:
            rows.append(
                {
                    "epoch": epoch,
                    "jobs": len(mine),
                    "visits": sum(job["visits"] for job in mine),
                    "amount": sum(job["visits"] * rates[job["job_id"]] for job in mine),
                }
            )
    return rows
