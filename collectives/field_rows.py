"""The table of fields: one line for each field of a person's record. Each mistake has a sentence of its own, with its line."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.forms.formsets import BaseFormSet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from collectives import requirement_table
from collectives.numbers import NumberField, WholeField, shown
from collectives.terms.profile import MAX_ENUM, MAX_FIELDS, MAX_ISSUERS, MAX_NAME

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
ISSUER = re.compile(r"did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{40,48}")
MOST_ENTRIES = 1000


class FieldRowForm(forms.Form):
    """One line of the table of fields; an empty line is left out."""

    name = forms.CharField(label=lazy("Short name"), max_length=60, required=False)
    title = forms.CharField(label=lazy("What people read"), max_length=MAX_NAME, required=False)
    kind = forms.ChoiceField(
        label=lazy("Kind"),
        required=False,
        choices=[
            ("number", lazy("number")),
            ("integer", lazy("whole number")),
            ("choice", lazy("one choice from a list")),
            ("several", lazy("several choices from a list")),
            ("measured", lazy("named things with measurements")),
            ("boolean", lazy("yes or no")),
            ("text", lazy("text, never read as a number")),
        ],
    )
    values = forms.CharField(
        label=lazy("Choices or names, with commas or one on each line"),
        max_length=20_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    low = NumberField(label=lazy("Least value"), required=False)
    high = NumberField(label=lazy("Most"), required=False)
    fewest = WholeField(label=lazy("At least how many"), min_value=0, max_value=MOST_ENTRIES, required=False)
    most = WholeField(label=lazy("At most how many"), min_value=1, max_value=MOST_ENTRIES, required=False)
    assurance = forms.ChoiceField(
        label=lazy("Proof"),
        required=False,
        choices=[
            ("declared", lazy("the holder's word")),
            ("attested", lazy("an issuer's signature")),
            ("unlinkable", lazy("an issuer's signature, shown without linking")),
        ],
    )
    issuers = forms.CharField(
        label=lazy("Issuers you trust (did:key:…), one on each line"),
        max_length=5000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )
    needed = forms.BooleanField(label=lazy("Needed"), required=False, initial=True)

    def clean(self) -> dict[str, Any]:
        row = super().clean() or {}
        if not row.get("name") and not row.get("title"):
            return row
        if not NAME.fullmatch(row.get("name") or "") and "name" not in self.errors:
            self.add_error(
                "name", _("Use letters, digits and _, beginning with a letter, such as blood_pressure.")
            )
        kind = row.get("kind")
        if kind in requirement_table.LISTED and "values" not in self.errors:
            self._check_list(row, kind)
        self._check_range(row, kind)
        if kind in requirement_table.COUNTED:
            self._check_counts(row)
        row["assurance"] = row.get("assurance") or "declared"
        if row["assurance"] != "declared":
            self._check_issuers((row.get("issuers") or "").split())
        return row

    def _check_list(self, row: dict[str, Any], kind: str) -> None:
        listed = requirement_table.choices(row.get("values") or "")
        twice = next((value for value in listed if listed.count(value) > 1), None)
        fewest = row.get("fewest")
        if not listed:
            self.add_error("values", _("List the choices, such as: low, middle, high."))
        elif len(listed) > MAX_ENUM:
            words = _("You listed %(n)s; a list has at most %(most)s.")
            self.add_error("values", words % {"n": f"{len(listed):,}", "most": MAX_ENUM})
        elif twice is not None:
            self.add_error("values", _("“%(value)s” stands twice in the list.") % {"value": shown(twice)})
        elif kind == "several" and fewest is not None and fewest > len(listed):
            words = _("Nobody can choose %(n)s of %(listed)s choices.")
            self.add_error("fewest", words % {"n": fewest, "listed": len(listed)})

    def _check_range(self, row: dict[str, Any], kind: str | None) -> None:
        if kind not in requirement_table.RANGED:
            return
        low, high = row.get("low"), row.get("high")
        missing = [name for name, value in (("low", low), ("high", high)) if value is None]
        if missing and not set(missing) & set(self.errors):
            self.add_error(
                missing[0],
                _("Say the least and the most: both are public, and nothing is measured on people's data."),
            )
        if low is not None and high is not None and low > high:
            self.add_error("high", _below(high, low))
        for name, value in (("low", low), ("high", high)):
            if kind == "integer" and value is not None and not float(value).is_integer():
                words = _("A whole number has no places after the point; you wrote %(given)s.")
                self.add_error(name, words % {"given": f"{value:g}"})

    def _check_counts(self, row: dict[str, Any]) -> None:
        fewest, most = row.get("fewest"), row.get("most")
        if fewest is not None and most is not None and fewest > most:
            self.add_error("most", _below(most, fewest))

    def _check_issuers(self, issuers: list[str]) -> None:
        wrong = next((text for text in issuers if not ISSUER.fullmatch(text)), None)
        twice = next((text for text in issuers if issuers.count(text) > 1), None)
        if "issuers" in self.errors:
            return
        if not issuers:
            self.add_error("issuers", _("Name at least one issuer you trust, such as did:key:z6Mk…"))
        elif len(issuers) > MAX_ISSUERS:
            words = _("You named %(n)s issuers; a field has at most %(most)s.")
            self.add_error("issuers", words % {"n": len(issuers), "most": MAX_ISSUERS})
        elif wrong is not None:
            words = _("“%(given)s” is no issuer's identifier; it begins with did:key:z6Mk.")
            self.add_error("issuers", words % {"given": shown(wrong)})
        elif twice is not None:
            self.add_error("issuers", _("The issuer %(given)s stands twice.") % {"given": shown(twice)})

    @property
    def used(self) -> bool:
        return bool(getattr(self, "cleaned_data", {}).get("name"))


def _below(most: float, least: float) -> str:
    return _("The most (%(most)s) is below the least (%(least)s).") % {
        "most": f"{most:g}",
        "least": f"{least:g}",
    }


class Table(BaseFormSet):  # type: ignore[type-arg]  # generic in the stubs only; at run time it takes no brackets
    """All lines, and what is wrong with them as sentences that name the line."""

    default_error_messages = {
        "missing_management_form": lazy("The table of fields did not arrive whole. Send the form again."),
        "too_many_forms": lazy("The table holds at most %(num)d fields; you sent more."),
    }

    def problems(self) -> list[dict[str, str]]:
        """Each mistake as `line` (from 1, empty for the table as a whole), `label`, `sentence` and the `id` of its control."""
        found = [
            {"line": "", "label": "", "sentence": str(sentence), "id": ""}
            for sentence in self.non_form_errors()
        ]
        for number, row in enumerate(self.forms, start=1):
            for name, sentences in row.errors.items():
                control = row[name] if name in row.fields else None
                found += [
                    {
                        "line": str(number),
                        "label": str(control.label) if control else "",
                        "sentence": str(sentence),
                        "id": control.id_for_label if control else "",
                    }
                    for sentence in sentences
                ]
        return found + self._repeated()

    def _repeated(self) -> list[dict[str, str]]:
        seen: dict[str, int] = {}
        found = []
        for number, row in enumerate(self.forms, start=1):
            name = getattr(row, "cleaned_data", {}).get("name")
            if name and name in seen:
                words = _("“%(name)s” is the short name of field %(first)s already.")
                sentence = words % {"name": name, "first": seen[name]}
                label, ident = str(row["name"].label), row["name"].id_for_label
                found.append({"line": str(number), "label": label, "sentence": sentence, "id": ident})
            elif name:
                seen[name] = number
        return found


FieldRows = forms.formset_factory(
    FieldRowForm, formset=Table, extra=2, max_num=MAX_FIELDS, validate_max=True, absolute_max=MAX_FIELDS + 100
)
