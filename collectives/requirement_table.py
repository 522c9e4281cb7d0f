"""A data requirement from a plain table of fields, and back: nobody must type JSON to ask for data.

Each row is one field of the record: a number, a choice, several choices, or named things with measurements such as skills.
What a table cannot say without loss (deeper entries, other encodings) stays JSON; `rows_of` gives None for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

FEATURES = {
    "number": "number",
    "integer": "number",
    "choice": "one-hot",
    "several": "multi-hot",
    "measured": "mean-of-measurements",
    "boolean": "boolean",
    "text": "none",
}
"""Each kind, and how its values become numbers (`x-feature`, collectives.training.features)."""
LISTED = frozenset({"choice", "several", "measured"})
RANGED = frozenset({"number", "integer", "measured"})
COUNTED = frozenset({"several", "measured"})
MOST_MEASUREMENTS = 20
LONGEST_TEXT = 200


def build(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The schema for rows of `name title kind values low high fewest most needed assurance issuers`.

    Names and limits are checked by the profile.
    """
    return {
        "type": "object",
        "properties": {row["name"]: _property(row) for row in rows},
        "required": [row["name"] for row in rows if row["needed"]],
        "additionalProperties": False,
    }


def choices(text: str) -> list[str]:
    """One on each line, or on one line with commas."""
    parts = text.splitlines() if "\n" in text.strip() else text.split(",")
    return [part.strip() for part in parts if part.strip()]


def _property(row: Mapping[str, Any]) -> dict[str, Any]:
    kind = row["kind"]
    spec: dict[str, Any] = {"title": row["title"]} if row.get("title") else {}
    spec |= _SPECS[kind](row)
    if kind in COUNTED:
        counts = (("minItems", row.get("fewest")), ("maxItems", row.get("most")))
        spec |= {word: value for word, value in counts if value is not None}
    if row.get("assurance", "declared") != "declared":
        spec |= {"x-assurance": row["assurance"], "x-issuers": (row.get("issuers") or "").split()}
    return spec | {"x-feature": {"encode": FEATURES[kind]}}


def _range(row: Mapping[str, Any]) -> dict[str, Any]:
    limits = (("minimum", row.get("low")), ("maximum", row.get("high")))
    return {word: _plain(value) for word, value in limits if value is not None}


def _several(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "array",
        "uniqueItems": True,
        "items": {"type": "string", "enum": choices(row["values"])},
    }


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """Named things, each with measurements: a skill and its marks."""
    marks = {
        "type": "array",
        "minItems": 1,
        "maxItems": MOST_MEASUREMENTS,
        "items": {"type": "number"} | _range(row),
    }
    entry = {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "measurements"],
        "properties": {"name": {"type": "string", "enum": choices(row["values"])}, "measurements": marks},
    }
    return {"type": "array", "x-unique-by": "name", "items": entry}


_SPECS = {
    "number": lambda row: {"type": "number"} | _range(row),
    "integer": lambda row: {"type": "integer"} | _range(row),
    "choice": lambda row: {"type": "string", "enum": choices(row["values"])},
    "several": _several,
    "measured": _measured,
    "boolean": lambda row: {"type": "boolean"},
    "text": lambda row: {"type": "string", "maxLength": LONGEST_TEXT},
}


def _plain(value: float) -> float | int:
    """24.0 is written as 24: people read the requirement, and both are the same number."""
    return int(value) if float(value).is_integer() else value


def rows_of(requirement: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The rows of a requirement, or None when it needs more than a table can say."""
    needed = set(requirement.get("required", ()))
    rows = []
    for name, spec in requirement.get("properties", {}).items():
        row = _row(name, spec) | {"needed": name in needed}
        # A row that would not give back the same field loses something: then the whole requirement stays JSON.
        if row["kind"] not in FEATURES or _property(row) != spec:
            return None
        rows.append(row)
    return rows


def _row(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    items = spec.get("items", {})
    parts = items.get("properties", {})
    ranged = parts.get("measurements", {}).get("items", spec)
    listed = spec.get("enum") or items.get("enum") or parts.get("name", {}).get("enum") or ()
    texts = [str(value) for value in listed]
    return {
        "name": name,
        "title": spec.get("title", ""),
        "kind": _kind(spec),
        "values": ("\n" if any("," in text for text in texts) else ", ").join(texts),
        "low": ranged.get("minimum"),
        "high": ranged.get("maximum"),
        "fewest": spec.get("minItems"),
        "most": spec.get("maxItems"),
        "assurance": spec.get("x-assurance", "declared"),
        "issuers": "\n".join(spec.get("x-issuers", ())),
    }


def _kind(spec: Mapping[str, Any]) -> str:
    if spec.get("type") == "array":
        return "measured" if spec.get("items", {}).get("type") == "object" else "several"
    if "enum" in spec:
        return "choice"
    return {"string": "text"}.get(str(spec.get("type")), str(spec.get("type")))
