"""The catalogue's filters. A wrong value is ignored with a message, never an error page."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from collectives.terms.description import tokens

SORTS = [("name", _("name")), ("rate", _("rate, highest first")), ("newest", _("newest first"))]


class CatalogueForm(forms.Form):
    q = forms.CharField(label=_("Search"), required=False, max_length=100)
    field = forms.CharField(label=_("Data field"), required=False, max_length=60)
    rate = forms.TypedChoiceField(
        label=_("Rate for each visit"), required=False, coerce=int, empty_value=None
    )
    cohort = forms.IntegerField(
        label=_("Minimum group size at least"), required=False, min_value=1, max_value=10**9
    )
    sort = forms.ChoiceField(label=_("Sort by"), required=False, choices=SORTS)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        tiers = [(rate, f"{tokens(rate)} {settings.TOKEN_SYMBOL}") for rate in settings.RATE_TIERS]
        self.fields["rate"].choices = [("", _("any")), *tiers]  # type: ignore[attr-defined]
        self.fields["q"].widget.input_type = "search"  # type: ignore[attr-defined]
