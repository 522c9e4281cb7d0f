"""What an issuer enters."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _


class JsonText(forms.CharField):
    """A JSON object as text."""

    widget = forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "autocomplete": "off"})

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise forms.ValidationError(_("This is not JSON. Check quotes, commas and brackets.")) from None
        if not isinstance(found, dict):
            raise forms.ValidationError(_("This must be one JSON object, in curly brackets."))
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
        label=_("Data requirement"),
        help_text=_("From the collective's page: the rules your values are checked by."),
    )
    values = JsonText(label=_("Values you attest"), help_text=_("Only the fields you can vouch for."))
    days = forms.IntegerField(label=_("Valid for (days)"), min_value=1, max_value=1825, initial=365)


class RevokeForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=300, required=False)
