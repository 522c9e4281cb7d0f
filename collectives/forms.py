"""What owners and authors enter. Every message says what to do; what is allowed stands in `collectives.terms`."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.conf import settings
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from collectives import requirement_table
from collectives.class_fields import ClassFields
from collectives.errors import CollectiveError
from collectives.field_rows import FieldRows
from collectives.models import Algorithm
from collectives.numbers import WholeField, parse_object
from collectives.selectors import audits
from collectives.services import agreed
from collectives.terms.description import (
    ASSURANCE,
    BUCKET_MIN_FLOOR,
    RATE_TIERS,
    RELEASE_MIN_FLOOR,
    duration,
    tokens,
)
from collectives.terms.errors import TermsError
from collectives.terms.fields import MOST_HASHES
from collectives.terms.requirements import check_profile
from collectives.words import told

__all__ = [
    "AlgorithmForm",
    "AnnounceForm",
    "FieldRows",
    "ReturnForm",
    "SchemaFile",
    "TermsForm",
    "parse_object",
    "read_text",
]

DAY = 24 * 3600
MANIFEST_BYTES = 256 * 1024


class TermsForm(ClassFields):
    """The four elements without the key, which the platform makes: task, requirement, rate, and the agreement's periods."""

    name = forms.CharField(label=lazy("Name of the collective"), max_length=120)
    purpose = forms.CharField(
        label=lazy("Purpose, in one sentence"),
        max_length=500,
        help_text=lazy("People read this first. At most 500 characters."),
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
        help_text=lazy("What is learned, why, and who will use the model. At most 10,000 characters."),
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
        error_messages={"invalid_choice": lazy("Choose one of the listed rates; there is no %(value)s.")},
    )
    notice_seconds = forms.TypedChoiceField(
        label=lazy("Notice period of a new algorithm"),
        coerce=int,
        error_messages={"invalid_choice": lazy("Choose one of the listed periods.")},
    )
    silence = forms.ChoiceField(
        label=lazy("Somebody who does not answer a notice"),
        choices=[
            ("without", lazy("continues without the new algorithm")),
            ("with", lazy("continues with the new algorithm")),
        ],
        widget=forms.RadioSelect,
        initial="without",
    )
    bucket_min = WholeField(
        label=lazy("Smallest sum the aggregator may read, in wallets"),
        min_value=2,
        max_value=255,
        initial=38,
        help_text=lazy("20 to 255."),
    )
    release_min = WholeField(
        label=lazy("Smallest group whose sum goes into the model, in wallets"),
        min_value=2,
        max_value=10**9,
        initial=100,
        help_text=lazy("100 or more, and never below the aggregator's."),
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
            "At most 64. The holder reads their names before signing, and they need no notice. Every other algorithm is "
            "announced ahead, and each subscriber can refuse it."
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
        cast("forms.ChoiceField", self.fields["rate"]).choices = choices
        self.fields["rate"].initial = 5 * 10**15
        least = settings.NOTICE_MIN_SECONDS
        periods = sorted({least, *(days * DAY for days in (1, 7, 14, 30, 60) if days * DAY >= least)})
        cast("forms.ChoiceField", self.fields["notice_seconds"]).choices = [(s, duration(s)) for s in periods]
        self.fields["notice_seconds"].initial = least
        cast("forms.MultipleChoiceField", self.fields["manifests"]).choices = [
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
        self._check_minima(values)
        values["algorithm_class"] = self.wanted_class(values)
        self._check_manifests(values)
        return values

    def _check_minima(self, values: dict[str, Any]) -> None:
        bucket, release = values.get("bucket_min"), values.get("release_min")
        usual = not values["development"]
        for name, given, floor in (
            ("bucket_min", bucket, BUCKET_MIN_FLOOR),
            ("release_min", release, RELEASE_MIN_FLOOR),
        ):
            if usual and given is not None and given < floor:
                words = _("At least %(floor)s wallets; you wrote %(given)s.")
                self.add_error(name, words % {"floor": floor, "given": given})
        if bucket is not None and release is not None and release < bucket:
            words = _("%(release)s is below the smallest sum the aggregator may read, which is %(bucket)s.")
            self.add_error("release_min", words % {"release": release, "bucket": bucket})

    def _check_manifests(self, values: dict[str, Any]) -> None:
        chosen = values.get("manifests") or []
        if len(chosen) > MOST_HASHES:
            words = _("You chose %(n)s; terms name at most %(most)s. Announce the others later.")
            self.add_error("manifests", words % {"n": len(chosen), "most": MOST_HASHES})
            return
        if not chosen or not values.get("requirement"):
            return
        try:
            found = agreed.chosen(values["manifests"], values["requirement"])
            if not any(name.startswith("class_") for name in self.errors):
                agreed.check_class(values["algorithm_class"], values["requirement"], found)
        except CollectiveError as error:
            self.add_error("manifests", str(error))

    def _from_json(self, text: str) -> dict[str, Any] | None:
        try:
            requirement = parse_object(text, _("The schema"))
            check_profile(requirement)
        except (forms.ValidationError, TermsError) as error:
            self.add_error("schema", error if isinstance(error, forms.ValidationError) else told(error))
            return None
        return requirement

    def _from_table(self) -> dict[str, Any] | None:
        if self.rows is None:
            self.add_error(None, _("The table of fields did not arrive whole. Send the form again."))
            return None
        self.rows.is_valid()
        problems = self.rows.problems()
        for problem in problems:
            self.add_error(None, _place(problem))
        if problems:
            return None
        used = [row.cleaned_data for row in self.rows if row.used]
        if not used:
            self.add_error(None, _("Describe at least one field in the table of fields."))
            return None
        requirement = requirement_table.build(used)
        try:
            check_profile(requirement)
        except TermsError as error:
            self.add_error(None, told(error))
            return None
        return requirement

    @cached_property
    def terms_values(self) -> dict[str, Any]:
        """What the services take."""
        left_out = {"source", "schema", *(name for name in self.fields if name.startswith("class_"))}
        return {name: value for name, value in self.cleaned_data.items() if name not in left_out}


def _place(problem: dict[str, str]) -> str:
    """One mistake of the table as a sentence that begins with the line it is in, and leads there."""
    if not problem["line"]:
        return problem["sentence"]
    where = _("Field %(line)s") % {"line": problem["line"]}
    if not problem["id"]:
        return f"{where}: {problem['sentence']}"
    return format_html(
        '<a href="#{}">{}, {}</a>: {}', problem["id"], where, problem["label"], problem["sentence"]
    )


def _algorithm_line(algorithm: Algorithm) -> str:
    manifest = algorithm.manifest
    return _("%(name)s: %(purpose)s (reads %(inputs)s; predicts %(targets)s)") % {
        "name": algorithm.name,
        "purpose": _shortened(manifest["purpose"], 160).rstrip("."),
        "inputs": _listed(manifest["inputs"]),
        "targets": _listed(manifest.get("target") or [_("nothing: it asks for sums")]),
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
            raise forms.ValidationError(told(error)) from error
        return requirement


def read_text(file: Any) -> str:
    """An uploaded text of at most `MANIFEST_BYTES`."""
    if file.size > MANIFEST_BYTES:
        given = f"{file.size / 1024:,.0f}"
        raise forms.ValidationError(
            _("The file is %(given)s KiB large; at most 256 KiB are read.") % {"given": given}
        )
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


class AlgorithmChoice(forms.ModelChoiceField):
    """An algorithm with what its privacy audit says, for who is about to announce it."""

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj} · {audits.words(obj)}"


class AnnounceForm(forms.Form):
    algorithm = AlgorithmChoice(
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
