"""Adding funds from a consumer's own wallet, and sending them back. The page's script speaks to the first two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from collectives.terms.description import tokens
from marketplace.accounts.access import needs_role
from marketplace.accounts.models import Role
from marketplace.settlement import own_wallet
from marketplace.settlement.errors import ChainUnavailable, SettlementError
from marketplace.settlement.forms import BringForm, SendForm, SignedForm, problems


@needs_role(Role.CONSUMER)
@require_POST
def permit(request: HttpRequest) -> HttpResponse:
    """What the consumer's wallet is to sign, as `eth_signTypedData_v4` takes it."""
    form = BringForm(request.POST)

    def asked() -> dict[str, Any]:
        return {"typed": own_wallet.ask(account=request.user, **form.cleaned_data).typed_data()}

    return _answer(form, asked)


@needs_role(Role.CONSUMER)
@require_POST
def bring(request: HttpRequest) -> HttpResponse:
    """The signed permit; the balance changes when the chain has confirmed the transfer."""
    form = SignedForm(request.POST)

    def done() -> dict[str, Any]:
        made = own_wallet.bring(account=request.user, **form.cleaned_data)
        words = _("%(amount)s are on their way. Your balance changes when the chain has confirmed it.")
        messages.success(request, words % {"amount": tokens(int(made.amount))})
        return {"next": reverse("funds")}

    return _answer(form, done)


def _answer(form: Form, work: Callable[[], dict[str, Any]]) -> HttpResponse:
    if not form.is_valid():
        return JsonResponse({"problem": problems(form)}, status=422)
    try:
        return JsonResponse(work())
    except SettlementError as error:
        return JsonResponse({"problem": str(error), "code": error.code}, status=error.status)
    except ChainUnavailable:
        return JsonResponse({"problem": _("The chain does not answer now. Nothing was moved.")}, status=503)


@needs_role(Role.CONSUMER)
@require_POST
def send(request: HttpRequest) -> HttpResponse:
    """Send tokens back to a wallet of one's own."""
    form = SendForm(request.POST)
    if not form.is_valid():
        messages.error(request, problems(form))
        return redirect("funds")
    try:
        made = own_wallet.send(account=request.user, **form.cleaned_data)
        words = _("%(amount)s are on their way to %(address)s.")
        messages.success(request, words % {"amount": tokens(int(made.amount)), "address": made.address})
    except SettlementError as error:
        messages.error(request, str(error))
    except ChainUnavailable:
        messages.error(request, _("The chain does not answer now. Nothing was moved."))
    return redirect("funds")
