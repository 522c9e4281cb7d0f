"""What an issuer enters."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _


class Drawn(forms.HiddenInput):
    """Filled by a script of the page from what is entered at `place`; a mistake in it leads there."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def id_for_label(self, id_: str) -> str:
        return self.place


class JsonText(forms.CharField):
    """A JSON object as text. No person writes it: `place` is where the script of the page lets them enter it."""

    def __init__(self, *, place: str, missing: Any, **options: Any) -> None:
        super().__init__(widget=Drawn(place), error_messages={"required": missing}, **options)

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise forms.ValidationError(_("This could not be read. Load the page anew and enter it again."))
        return found


class DeskForm(forms.Form):
    name = forms.CharField(
        label=_("Name of the desk"), max_length=120, help_text=_("For example your school or company.")
    )


class AttestForm(forms.Form):
    label = forms.CharField(
        label=_("Your own note"),
        max_length=120,
        help_text=_("To find the credential again, for example a staff number."),
    )
    requirement = JsonText(
        label=_("Rules"),
        place="choosing",
        missing=_("First get the rules that the values are checked by."),
    )
    values = JsonText(label=_("Values you attest"), place="entering", missing=_("Enter at least one value."))
    days = forms.IntegerField(label=_("Valid for (days)"), min_value=1, max_value=1825, initial=365)


class RevokeForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=300, required=False)
