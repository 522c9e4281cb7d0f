"""What a consumer enters about money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _
from eth_utils import to_wei_decimals

FAUCET_MOST = 1_000_000
DECIMALS = 18
SMALLEST = Decimal(1).scaleb(-DECIMALS)
MOST_TOKENS = Decimal(10**15)


TOO_MUCH = _("At most 1,000,000,000,000,000.")
WORDS = {
    "invalid": _("Write an amount such as 120 or 0.5."),
    "max_decimal_places": _("At most 18 places after the point."),
    "max_digits": TOO_MUCH,
    "max_whole_digits": TOO_MUCH,
    "max_value": TOO_MUCH,
    "min_value": _("An amount is 0 or more; you wrote %(show_value)s."),
}


class TokensField(forms.DecimalField):
    """Tokens as people write them; base units (int) to the program, exactly."""

    def __init__(self, **options: Any) -> None:
        usual = {"min_value": Decimal(0), "max_value": MOST_TOKENS, "max_digits": 33, "error_messages": WORDS}
        super().__init__(decimal_places=DECIMALS, **usual | options)
        self.widget.attrs |= {"step": "any", "inputmode": "decimal"}

    def clean(self, value: Any) -> int | None:
        try:
            found = super().clean(value)
        except forms.ValidationError as error:
            # A number beyond all limits breaks several rules at once; one sentence is enough.
            raise forms.ValidationError(list(dict.fromkeys(error.messages))) from error
        return None if found is None else to_wei_decimals(found, DECIMALS)


class PriceField(TokensField):
    """An amount that is brought, sent or asked for; one with too many decimals is told how many it has."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_value": Decimal(10**9), "max_digits": 28, "error_messages": {}} | options)

    def to_python(self, value: Any) -> Any:
        found = super().to_python(value)
        if isinstance(found, Decimal) and found.is_finite():
            places = -int(found.as_tuple().exponent)
            if places > DECIMALS:
                raise forms.ValidationError(
                    _("%(value)s has %(places)d decimals; a token has %(most)d."),
                    params={"value": value, "places": places, "most": DECIMALS},
                )
        return found


class FaucetForm(forms.Form):
    amount = PriceField(
        label=_("Amount"),
        min_value=Decimal(1),
        max_value=Decimal(FAUCET_MOST),
        initial=10_000,
        help_text=_("Development tokens have no value; at most 1,000,000 at once."),
    )


class AddressField(forms.CharField):
    """An address; its checksum is looked at where it is used, with a sentence that says what is wrong."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=80, **options)


class BringForm(forms.Form):
    """What is brought, and from which wallet: the page's script fills the wallet in."""

    owner = AddressField(widget=forms.HiddenInput)
    amount = PriceField(label=_("Amount"), min_value=SMALLEST)


class SignedForm(BringForm):
    """The same with what the wallet signed."""

    nonce = forms.IntegerField(min_value=0, max_value=2**62)
    deadline = forms.IntegerField(min_value=0, max_value=2**62)
    signature = forms.RegexField(r"^0x[0-9a-fA-F]{130}$")

    def clean_signature(self) -> bytes:
        return bytes.fromhex(self.cleaned_data["signature"][2:])


class SendForm(forms.Form):
    """What is sent back, and where."""

    amount = PriceField(label=_("Amount"), min_value=SMALLEST)
    to = AddressField(label=_("Address of your own wallet"), help_text=_("0x and 40 characters."))


def problems(form: forms.Form) -> str:
    """Everything that is wrong with a form in one text."""
    found = [
        f"{form.fields[name].label or name}: {error}" if name in form.fields else str(error)
        for name, errors in form.errors.items()
        for error in errors
    ]
    return " ".join(found) + str(_(" Nothing was moved."))


class OfferForm(forms.Form):
    """A finished model and what it costs."""

    job = forms.ChoiceField(label=_("Model"))
    price = PriceField(label=_("Price"), min_value=SMALLEST)

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


class AssetStateForm(forms.Form):
    """What an owner says about a collective as an asset. Stopping orders for a while is what suspending a collective does."""

    state = forms.TypedChoiceField(
        label=_("State of the asset"),
        coerce=int,
        choices=[
            (0, _("active: listed, takes orders")),
            (5, _("unlisted: takes orders of those who know it")),
            (1, _("end of life: takes no orders")),
        ],
        help_text=_("Jobs that run and orders that were paid go on in every state."),
    )
