"""What a consumer enters about money."""

from __future__ import annotations

from decimal import Decimal

from django import forms
from django.utils.translation import gettext_lazy as _

FAUCET_MOST = 1_000_000
UNIT = 10**18


class FaucetForm(forms.Form):
    amount = forms.DecimalField(
        label=_("Amount"),
        min_value=Decimal(1),
        max_value=FAUCET_MOST,
        max_digits=30,
        decimal_places=18,
        initial=10_000,
        help_text=_("Development tokens have no value; at most 1,000,000 at once."),
    )

    def clean_amount(self) -> int:
        return int(self.cleaned_data["amount"] * UNIT)
