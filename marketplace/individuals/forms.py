"""What a person enters about their wallet."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from collectives.terms.description import duration
from marketplace.individuals.models import NoticeChoice, WalletLink


class WalletNameForm(forms.Form):
    label = forms.CharField(label=_("Name of this wallet"), max_length=60, required=False)


class WalletChoiceForm(forms.Form):
    """Which wallet is asked; shown only to somebody with more than one."""

    wallet = forms.ChoiceField(label=_("Wallet"), required=False, widget=forms.RadioSelect)

    def __init__(self, *args: Any, wallets: list[WalletLink], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wallets = {str(wallet.pk): wallet for wallet in wallets}
        choices = [
            (key, wallet.label or _("Wallet paired %(day)s") % {"day": wallet.paired_at.date().isoformat()})
            for key, wallet in self.wallets.items()
        ]
        self.fields["wallet"].choices = choices  # type: ignore[attr-defined]
        if len(choices) < 2:
            self.fields["wallet"].widget = forms.HiddenInput()
        if choices:
            self.fields["wallet"].initial = choices[0][0]

    def clean_wallet(self) -> WalletLink | None:
        return self.wallets.get(self.cleaned_data["wallet"]) or next(iter(self.wallets.values()), None)


DAY = 24 * 3600
SHORTER = (90 * DAY, 180 * DAY)


class OfferForm(WalletChoiceForm):
    """Which wallet is asked, and for how long. The shortest period is proposed; all of them can be ended at any time."""

    lasts = forms.TypedChoiceField(
        label=_("It ends by itself after"), coerce=int, empty_value=0, required=False
    )

    def __init__(self, *args: Any, valid_seconds: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        periods = [seconds for seconds in SHORTER if seconds < valid_seconds]
        choices = [(seconds, duration(seconds)) for seconds in periods]
        lasts = cast("forms.TypedChoiceField", self.fields["lasts"])
        lasts.choices = [*choices, (0, duration(valid_seconds))]
        lasts.initial = periods[0] if periods else 0

    def clean_lasts(self) -> int:
        """Somebody who says nothing gets the proposed period, never a longer one."""
        if "lasts" not in self.data:
            return int(self.fields["lasts"].initial)
        return int(self.cleaned_data["lasts"])


class ChoiceForm(forms.Form):
    choice = forms.ChoiceField(
        choices=NoticeChoice.Choice.choices,
        error_messages={
            "required": _("Choose one of the three answers."),
            "invalid_choice": _("Choose one of the three answers."),
        },
    )
