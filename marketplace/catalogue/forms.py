"""The catalogue's filters. A wrong value is ignored with a message, never an error page."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from collectives.terms.description import RATE_TIERS, tokens

SORTS = [
    ("name", _("name")),
    ("rate", _("rate, highest first")),
    ("cheapest", _("rate, lowest first")),
    ("subscribers", _("subscribers, most first")),
    ("cohort", _("smallest group, largest first")),
    ("newest", _("newest first")),
]
ASSURANCES = [
    ("", _("any")),
    ("attested", _("some data attested by an issuer")),
    ("declared", _("declared by the holder")),
]
ORDERS = [("", _("any")), ("open", _("anybody at once")), ("approval", _("with the owner's approval"))]


class CatalogueForm(forms.Form):
    q = forms.CharField(label=_("Search"), required=False, max_length=100)
    field = forms.CharField(label=_("Data field"), required=False, max_length=60)
    rate = forms.TypedChoiceField(
        label=_("Rate for each visit"), required=False, coerce=int, empty_value=None
    )
    cohort = forms.IntegerField(
        label=_("Minimum group size at least"), required=False, min_value=1, max_value=10**9
    )
    assurance = forms.ChoiceField(label=_("Proof of the data"), required=False, choices=ASSURANCES)
    orders = forms.ChoiceField(label=_("Who may order"), required=False, choices=ORDERS)
    sort = forms.ChoiceField(label=_("Sort by"), required=False, choices=SORTS)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        tiers = [(rate, f"{tokens(rate)} {settings.TOKEN_SYMBOL}") for rate in RATE_TIERS]
        self.fields["rate"].choices = [("", _("any")), *tiers]  # type: ignore[attr-defined]
        self.fields["q"].widget.input_type = "search"  # type: ignore[attr-defined]
