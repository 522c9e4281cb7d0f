"""What owners and authors enter. Every message says what to do; what is allowed stands in `collectives.terms`."""

from __future__ import annotations

import json
import re
from typing import Any

from django import forms
from django.conf import settings
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from collectives import requirement_table
from collectives.errors import CollectiveError
from collectives.models import Algorithm
from collectives.services import agreed
from collectives.terms.canonical import check_depth
from collectives.terms.description import ASSURANCE, RATE_TIERS, duration, tokens
from collectives.terms.errors import TermsError
from collectives.terms.requirements import check_profile

DAY = 24 * 3600
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
MANIFEST_BYTES = 256 * 1024


def parse_object(text: str, what: str) -> dict[str, Any]:
    """A JSON object from text a person pasted."""
    try:
        check_depth(text)
        value = json.loads(text)
    except TermsError as error:
        raise forms.ValidationError(str(error)) from error
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise forms.ValidationError(
            _("%(what)s is not JSON: look at line %(line)s. Paste the whole object, from { to }.")
            % {"what": what, "line": line}
        ) from error
    if not isinstance(value, dict):
        raise forms.ValidationError(_("%(what)s must be a JSON object, from { to }.") % {"what": what})
    return value


class FieldRowForm(forms.Form):
    """One line of the table of fields; an empty line is left out."""

    name = forms.CharField(label=lazy("Short name"), max_length=60, required=False)
    title = forms.CharField(label=lazy("What people read"), max_length=120, required=False)
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
    low = forms.FloatField(label=lazy("Least value"), required=False)
    high = forms.FloatField(label=lazy("Most"), required=False)
    fewest = forms.IntegerField(label=lazy("At least how many"), min_value=0, max_value=1000, required=False)
    most = forms.IntegerField(label=lazy("At most how many"), min_value=1, max_value=1000, required=False)
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
        if not NAME.fullmatch(row.get("name") or ""):
            self.add_error(
                "name", _("Use letters, digits and _, beginning with a letter, such as blood_pressure.")
            )
        kind = row.get("kind")
        if kind in requirement_table.LISTED and not requirement_table.choices(row.get("values") or ""):
            self.add_error("values", _("List the choices, such as: low, middle, high."))
        self._check_range(row, kind)
        row["assurance"] = row.get("assurance") or "declared"
        if row["assurance"] != "declared" and not (row.get("issuers") or "").strip():
            self.add_error("issuers", _("Name at least one issuer you trust, such as did:key:z6Mk…"))
        return row

    def _check_range(self, row: dict[str, Any], kind: str | None) -> None:
        low, high = row.get("low"), row.get("high")
        missing = [name for name, value in (("low", low), ("high", high)) if value is None]
        if kind in requirement_table.RANGED and missing and not set(missing) & set(self.errors):
            self.add_error(
                missing[0],
                _("Say the least and the most: both are public, and nothing is measured on people's data."),
            )
        if low is not None and high is not None and low > high:
            self.add_error("high", _("The most is below the least."))
        fewest, most = row.get("fewest"), row.get("most")
        if fewest is not None and most is not None and fewest > most:
            self.add_error("most", _("The most is below the least."))

    @property
    def used(self) -> bool:
        return bool(getattr(self, "cleaned_data", {}).get("name"))


FieldRows = forms.formset_factory(FieldRowForm, extra=2, max_num=200, absolute_max=200)


class TermsForm(forms.Form):
    """The four elements without the key, which the platform makes: task, requirement, rate, and the agreement's periods."""

    name = forms.CharField(label=lazy("Name of the collective"), max_length=120)
    purpose = forms.CharField(
        label=lazy("Purpose, in one sentence"), max_length=500, help_text=lazy("People read this first.")
    )
    not_for = forms.CharField(
        label=lazy("What it must never be used for"),
        max_length=500,
        required=False,
        help_text=lazy("Such as: decisions about single persons."),
    )
    task_description = forms.CharField(
        label=lazy("Task"),
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=lazy("What is learned, why, and who will use the model."),
    )
    source = forms.ChoiceField(
        label=lazy("How do you describe the data?"),
        choices=[("table", lazy("with the table of fields")), ("json", lazy("with a JSON Schema"))],
        widget=forms.RadioSelect,
        initial="table",
    )
    schema = forms.CharField(
        label=lazy("JSON Schema of one record"),
        required=False,
        widget=forms.Textarea(attrs={"class": "code", "rows": 14, "spellcheck": "false"}),
    )
    rate = forms.TypedChoiceField(
        label=lazy("Rate for each visit"),
        coerce=int,
        help_text=lazy("From fixed steps: shared rates hide who was visited."),
    )
    notice_seconds = forms.TypedChoiceField(label=lazy("Notice period of a new algorithm"), coerce=int)
    silence = forms.ChoiceField(
        label=lazy("Somebody who does not answer a notice"),
        choices=[
            ("without", lazy("continues without the new algorithm")),
            ("with", lazy("continues with the new algorithm")),
        ],
        widget=forms.RadioSelect,
        initial="without",
    )
    bucket_min = forms.IntegerField(
        label=lazy("Smallest sum the aggregator may read, in wallets"), min_value=2, max_value=255, initial=38
    )
    release_min = forms.IntegerField(
        label=lazy("Smallest sum the buyer gets, in wallets"), min_value=2, max_value=10**9, initial=100
    )
    assurance = forms.ChoiceField(
        label=lazy("Proof of the data"),
        choices=[("declared", lazy("declared by the holder")), ("attested", lazy("attested by an issuer"))],
        initial=ASSURANCE[0],
    )
    order_policy = forms.ChoiceField(
        label=lazy("Who may order training jobs"),
        choices=[
            ("open", lazy("every data consumer")),
            ("approval", lazy("every data consumer, after my approval")),
            ("owner", lazy("only I")),
        ],
    )
    manifests = forms.MultipleChoiceField(
        label=lazy("Algorithms a subscriber agrees to by subscribing"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=lazy(
            "The holder reads their names before signing, and they need no notice. Every other algorithm is announced ahead, "
            "and each subscriber can refuse it."
        ),
        error_messages={
            "invalid_choice": lazy("One of the algorithms is not approved any more. Choose from the list.")
        },
    )
    development = forms.BooleanField(
        label=lazy("Development collective: smaller groups than usual, never for real data"), required=False
    )

    def __init__(self, *args: Any, rows: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = rows
        choices = [(rate, f"{tokens(rate)} {settings.TOKEN_SYMBOL}") for rate in RATE_TIERS]
        self.fields["rate"].choices = choices  # type: ignore[attr-defined]
        self.fields["rate"].initial = 5 * 10**15
        least = settings.NOTICE_MIN_SECONDS
        periods = sorted({least, *(days * DAY for days in (1, 7, 14, 30, 60) if days * DAY >= least)})
        self.fields["notice_seconds"].choices = [(s, duration(s)) for s in periods]  # type: ignore[attr-defined]
        self.fields["notice_seconds"].initial = least
        self.fields["manifests"].choices = [  # type: ignore[attr-defined]
            (row.manifest_hash, _algorithm_line(row))
            for row in Algorithm.objects.filter(status=Algorithm.Status.APPROVED)
        ]
        if not settings.DEVELOPMENT_MINIMA:
            del self.fields["development"]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        values.setdefault("development", False)
        if values.get("source") == "json":
            values["requirement"] = self._from_json(values.get("schema") or "")
        elif values.get("source") == "table":
            values["requirement"] = self._from_table()
        self._check_manifests(values)
        return values

    def _check_manifests(self, values: dict[str, Any]) -> None:
        if not values.get("manifests") or not values.get("requirement"):
            return
        try:
            agreed.chosen(values["manifests"], values["requirement"])
        except CollectiveError as error:
            self.add_error("manifests", str(error))

    def _from_json(self, text: str) -> dict[str, Any] | None:
        try:
            requirement = parse_object(text, _("The schema"))
            check_profile(requirement)
        except (forms.ValidationError, TermsError) as error:
            self.add_error("schema", error if isinstance(error, forms.ValidationError) else str(error))
            return None
        return requirement

    def _from_table(self) -> dict[str, Any] | None:
        if self.rows is None or not self.rows.is_valid():
            self.add_error(None, _("Look at the table of fields: a line is incomplete."))
            return None
        used = [row.cleaned_data for row in self.rows if row.used]
        if not used:
            self.add_error(None, _("Describe at least one field in the table of fields."))
            return None
        if len({row["name"] for row in used}) != len(used):
            self.add_error(None, _("Two lines of the table of fields have the same short name."))
            return None
        requirement = requirement_table.build(used)
        try:
            check_profile(requirement)
        except TermsError as error:
            self.add_error(None, str(error))
            return None
        return requirement

    @cached_property
    def terms_values(self) -> dict[str, Any]:
        """What the services take."""
        left_out = {"source", "schema"}
        return {name: value for name, value in self.cleaned_data.items() if name not in left_out}


def _algorithm_line(algorithm: Algorithm) -> str:
    manifest = algorithm.manifest
    return _("%(name)s: %(purpose)s (reads %(inputs)s; predicts %(targets)s)") % {
        "name": algorithm.name,
        "purpose": _shortened(manifest["purpose"], 160).rstrip("."),
        "inputs": _listed(manifest["inputs"]),
        "targets": _listed(manifest["target"]),
    }


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _listed(names: list[str], most: int = 6) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (_(" and %(n)s more") % {"n": more} if more > 0 else "")


class SchemaFile(forms.Form):
    """A requirement kept in a file, to fill the table or the text of the terms form."""

    schema_file = forms.FileField(label=lazy("JSON Schema file"), required=False)

    def clean_schema_file(self) -> dict[str, Any]:
        file = self.cleaned_data["schema_file"]
        if not file:
            raise forms.ValidationError(_("Choose a file first."))
        requirement = parse_object(read_text(file), _("The schema"))
        try:
            check_profile(requirement)
        except TermsError as error:
            raise forms.ValidationError(str(error)) from error
        return requirement


def read_text(file: Any) -> str:
    """An uploaded text of at most `MANIFEST_BYTES`."""
    if file.size > MANIFEST_BYTES:
        raise forms.ValidationError(_("The file holds at most 256 KiB."))
    try:
        return str(file.read().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise forms.ValidationError(
            _("The file is not UTF-8 text. Save it as UTF-8 and try again.")
        ) from error


class AlgorithmForm(forms.Form):
    name = forms.CharField(
        label=lazy("Name"),
        max_length=120,
        required=False,
        help_text=lazy("Taken from the manifest when empty."),
    )
    file = forms.FileField(label=lazy("Manifest as a file"), required=False)
    text = forms.CharField(
        label=lazy("Or paste it"),
        required=False,
        widget=forms.Textarea(attrs={"class": "code", "rows": 16, "spellcheck": "false"}),
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        file, text = values.get("file"), (values.get("text") or "").strip()
        if bool(file) == bool(text):
            raise forms.ValidationError(_("Give the manifest once: as a file, or pasted."))
        if file:
            text = read_text(file)
        values["manifest"] = parse_object(text, _("The manifest"))
        return values


class ReturnForm(forms.Form):
    reason = forms.CharField(
        label=lazy("Why"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": lazy("Say why: the reason is shown to who ordered the job.")},
        help_text=lazy("Who ordered reads this."),
    )


class AnnounceForm(forms.Form):
    algorithm = forms.ModelChoiceField(
        label=lazy("Algorithm"), queryset=Algorithm.objects.none(), widget=forms.RadioSelect, empty_label=None
    )
    reason = forms.CharField(
        label=lazy("Why"),
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=lazy("Every subscriber reads this."),
    )

    def __init__(self, *args: Any, algorithms: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["algorithm"].queryset = algorithms  # type: ignore[attr-defined]
