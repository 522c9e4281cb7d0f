"""What a person may change about their own account."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from marketplace.accounts.models import Role

HELP = {
    Role.INDIVIDUAL: _("Pair a wallet, subscribe it to collectives, earn for each visit."),
    Role.CONSUMER: _("Order training jobs with a budget and download the models."),
    Role.OWNER: _("Register a collective: what to learn, from which data, for which rate."),
    Role.AUTHOR: _("Submit algorithms for review."),
}


class RolesForm(forms.Form):
    roles = forms.MultipleChoiceField(
        label=_("I am here as"),
        choices=[(role.value, f"{role.label.capitalize()}: {HELP[role]}") for role in Role],
        widget=forms.CheckboxSelectMultiple,
        help_text=_(
            "You may hold several roles at once. A role shows you its pages; it gives nobody your data."
        ),
        error_messages={"required": _("Choose at least one role, or delete the account instead.")},
    )


class DeleteForm(forms.Form):
    """The password once more, so that a browser left open deletes nobody; nothing for who signs in without one."""

    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, account: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.account = account
        if not account.has_usable_password():
            del self.fields["password"]

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if not self.account.check_password(password):
            raise forms.ValidationError(_("This is not your password."))
        return password


class TokenForm(forms.Form):
    label = forms.CharField(
        label=_("What it is for"), max_length=60, help_text=_("Such as: laboratory notebook.")
    )
