"""What a consumer enters about money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

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


class PriceField(forms.DecimalField):
    """Tokens as people write them; base units, exactly, as the program has them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_value=Decimal(10**9), max_digits=28, decimal_places=18, **options)

    def clean(self, value: Any) -> int:
        return int(super().clean(value) * UNIT)


class OfferForm(forms.Form):
    """A finished model and what it costs."""

    job = forms.ChoiceField(label=_("Model"))
    price = PriceField(label=_("Price"), min_value=Decimal("0.000000000000000001"))

    def __init__(self, *args: Any, jobs: list[Any], **options: Any) -> None:
        super().__init__(*args, **options)
        found = [(str(job.pk), f"{job.algorithm.name}, {job.collective.name}") for job in jobs]
        cast("forms.ChoiceField", self.fields["job"]).choices = found


class OrderPriceForm(forms.Form):
    """What one order of a collective costs, besides the visits."""

    price = PriceField(
        label=_("Price of one order"),
        min_value=Decimal(0),
        help_text=_(
            "Goes to you when a consumer starts a job; 0 is free. Visits are paid to individuals apart from it."
        ),
    )
