"""What a person enters about their wallet."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

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


class ChoiceForm(forms.Form):
    choice = forms.ChoiceField(
        choices=NoticeChoice.Choice.choices,
        error_messages={
            "required": _("Choose one of the three answers."),
            "invalid_choice": _("Choose one of the three answers."),
        },
    )
