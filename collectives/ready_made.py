"""An algorithm made without writing a manifest: an entry of the catalogue, a collective's fields, one sentence of purpose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from collectives.example_record import label
from collectives.terms.errors import TermsError
from collectives.training.catalogue import Entry, build, entries
from collectives.training.features import encoding
from collectives.words import told

NO_WAY = ("", "text")
"""Encodings of fields that no algorithm reads."""


class ReadyMadeForm(forms.Form):
    """For one data requirement. A valid form has the manifest, checked against it, in `cleaned_data["manifest"]`."""

    kind = forms.ChoiceField(label=lazy("Kind of algorithm"), widget=forms.RadioSelect)
    inputs = forms.MultipleChoiceField(
        label=lazy("It reads"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": lazy("Choose at least one field that it reads.")},
    )
    target = forms.MultipleChoiceField(
        label=lazy("It predicts"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=lazy("None for a kind that only counts or averages."),
    )
    purpose = forms.CharField(
        label=lazy("What it is for, in one sentence"),
        max_length=500,
        help_text=lazy("Every person who is asked reads this."),
    )

    def __init__(self, *args: Any, requirement: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.requirement = requirement
        names = [
            (name, label(name, spec))
            for name, spec in requirement["properties"].items()
            if encoding(requirement, name) not in NO_WAY
        ]
        choices = {"kind": [(e.name, described(e)) for e in entries()], "inputs": names, "target": names}
        for field, offered in choices.items():
            cast("forms.ChoiceField", self.fields[field]).choices = offered

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if self.errors:
            return values
        both = [name for name in values["target"] if name in values["inputs"]]
        if both:
            words = _("“%(field)s” cannot be read and predicted at once; take it out of one of the lists.")
            shown = label(both[0], self.requirement["properties"][both[0]])
            raise forms.ValidationError(words % {"field": shown})
        try:
            values["manifest"] = build(
                values["kind"],
                self.requirement,
                inputs=values["inputs"],
                target=values["target"],
                purpose=values["purpose"],
            )
        except TermsError as error:
            raise forms.ValidationError(told(error)) from error
        return values


def described(entry: Entry) -> str:
    """One line that says what a kind is good for."""
    return f"{_(entry.title)}: {_(entry.use)}"
