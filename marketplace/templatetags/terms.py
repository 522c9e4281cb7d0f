"""Terms in words for pages: the consent text, the fields a requirement asks for, the difference of two versions.

Everything is computed from the signed document, so that a page cannot say something else than what is signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from collectives.example_record import label
from collectives.terms import classes
from collectives.terms.description import Terms, words_for_agreement
from collectives.terms.errors import TermsError
from marketplace.templatetags.pages import period, tokens

register = template.Library()
SHOWN_VALUES = 6


@dataclass(frozen=True, kw_only=True)
class FieldRow:
    """One field of a data requirement, in words."""

    name: str
    title: str
    description: str
    kind: str
    values: str
    listed: tuple[str, ...]
    needed: bool
    assurance: str
    issuers: tuple[str, ...] = ()

    @property
    def proof(self) -> str:
        """What counts as proof of this field, in words; empty for the holder's own word."""
        return {
            "attested": _(
                "An issuer must have attested it. The collective sees that it is there, not the value; the credential can be recognised where it is shown again."
            ),
            "unlinkable": _(
                "An issuer must have attested it. The proof shows that it is there and cannot be recognised."
            ),
        }.get(self.assurance, "")


@dataclass(frozen=True, kw_only=True)
class DiffRow:
    label: str
    before: str
    after: str


@register.filter
def consent_words(document: Mapping[str, Any]) -> list[str]:
    """The consent text of a terms document; empty for one that does not parse (a preview being typed)."""
    try:
        return list(words_for_agreement(Terms.parse(dict(document)), _, period, tokens))
    except TermsError:
        return []


@register.filter
def class_words(algorithm_class: Mapping[str, Any] | None) -> list[str]:
    """What bounds the algorithms announced later; nothing where the terms bound none."""
    return classes.words(algorithm_class, _)


@register.filter
def requirement_rows(requirement: Mapping[str, Any]) -> list[FieldRow]:
    """The fields of a data requirement, one level, with lists described by their items."""
    needed = set(requirement.get("required", ()))
    return [
        FieldRow(
            name=name,
            title=label(name, spec),
            description=str(spec.get("description") or ""),
            kind=_kind(spec),
            values=_values(spec),
            listed=_every_value(spec),
            needed=name in needed,
            assurance=str(spec.get("x-assurance", "declared")),
            issuers=tuple(spec.get("x-issuers", ())),
        )
        for name, spec in requirement.get("properties", {}).items()
    ]


def _kind(spec: Mapping[str, Any]) -> str:
    if "enum" in spec:
        return _("choice")
    if spec.get("type") == "array":
        return _("list of %(items)s") % {"items": _kind(spec.get("items", {}))}
    if spec.get("type") == "object":
        parts = [label(name, part) for name, part in spec.get("properties", {}).items()]
        return _("entry with %(parts)s") % {"parts": ", ".join(parts)}
    words = {
        "string": _("text"),
        "integer": _("whole number"),
        "number": _("number"),
        "boolean": _("yes or no"),
    }
    return words.get(str(spec.get("type")), _("value"))


def _every_value(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """A long list of values in full, of the field itself or of what its entries are chosen from."""
    items = spec.get("items", {})
    named = (part["enum"] for part in items.get("properties", {}).values() if "enum" in part)
    listed = spec.get("enum") or items.get("enum") or next(named, ())
    return tuple(map(str, listed)) if len(listed) > SHOWN_VALUES else ()


def _values(spec: Mapping[str, Any]) -> str:
    if "enum" in spec:
        shown = ", ".join(str(value) for value in spec["enum"][:SHOWN_VALUES])
        rest = len(spec["enum"]) - SHOWN_VALUES
        return shown + (_(" and %(n)s more") % {"n": rest} if rest > 0 else "")
    low, high = spec.get("minimum"), spec.get("maximum")
    if low is not None or high is not None:
        return _span(low, high)
    if spec.get("type") == "array":
        parts = [_span(spec.get("minItems"), spec.get("maxItems"), _("entries"))]
        return "; ".join(part for part in (*parts, _listed(spec.get("items", {}))) if part) or _("any")
    return _("any")


def _span(low: Any, high: Any, unit: str = "") -> str:
    """'0 to 10', 'at least 5 entries', 'exactly 3 entries', or nothing."""
    if low is None and high is None:
        return ""
    if low == high:
        text = _("exactly %(n)s") % {"n": low}
    elif high is None:
        text = _("at least %(n)s") % {"n": low}
    elif low is None:
        text = _("at most %(n)s") % {"n": high}
    else:
        text = _("%(low)s to %(high)s") % {"low": low, "high": high}
    return f"{text} {unit}".strip()


def _listed(items: Mapping[str, Any]) -> str:
    """What the entries of a list may be; of an entry with parts, each part."""
    if items.get("type") == "object":
        parts = ((label(name, part), _values(part)) for name, part in items["properties"].items())
        return "; ".join(f"{name}: {words}" for name, words in parts)
    return _values(items) if "enum" in items or "minimum" in items or "maximum" in items else ""


LABELS = {
    "name": lazy("Name"),
    "purpose": lazy("Purpose"),
    "not_for": lazy("Not for"),
    "task_description": lazy("Task"),
    "rate": lazy("Rate for each visit"),
    "notice_seconds": lazy("Notice period"),
    "silence": lazy("If you stay silent"),
    "bucket_min": lazy("Smallest sum the aggregator reads"),
    "release_min": lazy("Smallest group in a step of the model"),
    "assurance": lazy("Proof of your data"),
    "order_policy": lazy("Who may order jobs"),
    "algorithm_class": lazy("Class of later algorithms"),
    "valid_seconds": lazy("A permission ends by itself after"),
    "privacy_level": lazy("Privacy"),
    "sandbox": lazy("Layers around an algorithm"),
    "token": lazy("Paid in"),
    "development": lazy("Development terms"),
}


@register.simple_tag
def terms_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[DiffRow]:
    """What differs between two terms documents, in words; the requirement field by field."""
    rows = [
        DiffRow(label=str(label), before=_said(before, name), after=_said(after, name))
        for name, label in LABELS.items()
        if before.get(name) != after.get(name)
    ]
    old, new = (
        {row.name: row for row in requirement_rows(document.get("requirement", {}))}
        for document in (before, after)
    )
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            label = (new.get(name) or old[name]).title
            rows.append(
                DiffRow(
                    label=_("Data: %(field)s") % {"field": label},
                    before=_asked(old.get(name)),
                    after=_asked(new.get(name)),
                )
            )
    if set(before.get("permitted_manifests", ())) != set(after.get("permitted_manifests", ())):
        rows.append(
            DiffRow(
                label=_("Algorithms agreed by subscribing"),
                before=_agreed(before),
                after=_agreed(after),
            )
        )
    return rows


def _agreed(document: Mapping[str, Any]) -> str:
    """The algorithms that terms name; those of older terms by the beginning of their hashes."""
    names = {found["manifest_hash"]: found["name"] for found in document.get("algorithms", ())}
    return ", ".join(names.get(ident, ident[:12]) for ident in document.get("permitted_manifests", ()))


def _asked(row: FieldRow | None) -> str:
    if row is None:
        return ""
    return f"{row.kind}: {row.values}" + ("" if row.needed else _(" (if you have it)"))


def _said(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name, "")
    if name == "rate":
        return f"{tokens(value)} {document.get('token', '')}"
    if name in ("notice_seconds", "valid_seconds"):
        return period(value)
    if name == "privacy_level":
        return (
            _("a privacy budget, kept by each wallet") if value == "formal" else _("noise, no budget claimed")
        )
    if name == "sandbox":
        return _("all of them, or no visit") if value == "full" else _("as each wallet has them")
    if name == "algorithm_class":
        return " ".join(classes.words(value or None, _))
    if name == "silence":
        return str(silence_words(value))
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return str(value)


@register.filter
def silence_words(value: str) -> str:
    """What silence on a notice means, in one sentence."""
    if value == "with":
        return _("you continue with the new algorithm")
    return _("you continue without the new algorithm")
