"""The class of algorithms that terms admit, as fields of a form: what bounds the ones an owner announces later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from collectives import requirement_table
from collectives.numbers import WholeField
from collectives.terms.classes import MAX_PARAMETERS

OUTPUT_WORDS = [
    ("gradient", lazy("one step of learning")),
    ("delta", lazy("several steps of learning")),
    ("elm-statistics", lazy("sums for a regression")),
    ("evaluation", lazy("how good a model is")),
    ("mean", lazy("means")),
    ("histogram", lazy("counts in ranges")),
    ("covariance", lazy("how fields go together")),
]


class ClassFields(forms.Form):
    """All empty: the terms bound nothing. See `collectives.terms.classes`."""

    class_purpose = forms.CharField(
        label=lazy("Later algorithms only for"),
        max_length=500,
        required=False,
        help_text=lazy(
            "Bounds what you may announce later: wallets refuse anything else. Empty: every algorithm that fits the data."
        ),
    )
    class_parameters = WholeField(
        label=lazy("Their parameters at most"), min_value=1, max_value=MAX_PARAMETERS, required=False
    )
    class_inputs = forms.CharField(
        label=lazy("They read only"),
        max_length=5000,
        required=False,
        help_text=lazy("Short names with commas. Empty: any field."),
    )
    class_target = forms.CharField(
        label=lazy("They predict only"),
        max_length=5000,
        required=False,
        help_text=lazy("Short names with commas. Empty: any field."),
    )
    class_outputs = forms.MultipleChoiceField(
        label=lazy("They send back only"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=OUTPUT_WORDS,
        help_text=lazy("None ticked: anything."),
    )

    def wanted_class(self, values: dict[str, Any]) -> dict[str, Any] | None:
        """The class of later algorithms; None where none is wanted."""
        given = {name: values.get(f"class_{name}") for name in ("purpose", "parameters", "outputs")}
        lists = {
            name: requirement_table.choices(values.get(f"class_{name}") or "")
            for name in ("inputs", "target")
        }
        if not any(given.values()) and not any(lists.values()):
            return None
        if not given["purpose"] and "class_purpose" not in self.errors:
            self.add_error(
                "class_purpose", _("Say what later algorithms must be for; the other bounds go with it.")
            )
        if not given["parameters"] and "class_parameters" not in self.errors:
            words = _("Say how many parameters they have at most, up to %(most)s.")
            self.add_error("class_parameters", words % {"most": f"{MAX_PARAMETERS:,}"})
        known = set((values.get("requirement") or {}).get("properties", ()))
        for name, listed in lists.items():
            unknown = [field for field in listed if field not in known]
            if known and unknown:
                words = _("No field of the record has the short name “%(name)s”.")
                self.add_error(f"class_{name}", words % {"name": unknown[0]})
        found = {"purpose": given["purpose"], "max_parameters": given["parameters"]}
        found |= {name: list(dict.fromkeys(listed)) for name, listed in lists.items() if listed}
        return found | ({"outputs": given["outputs"]} if given["outputs"] else {})

    @staticmethod
    def class_initial(algorithm_class: Mapping[str, Any] | None) -> dict[str, Any]:
        """The form's fields for a class that terms have."""
        m = algorithm_class or {}
        return {
            "class_purpose": m.get("purpose", ""),
            "class_parameters": m.get("max_parameters"),
            "class_inputs": ", ".join(m.get("inputs", ())),
            "class_target": ", ".join(m.get("target", ())),
            "class_outputs": list(m.get("outputs", ())),
        }
