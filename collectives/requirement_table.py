"""A data requirement from a plain table of fields, and back: nobody must type JSON to ask for data.

Only flat requirements have a table: each row is one field with a kind. Lists and entries are written as schema JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

FEATURES = {
    "number": "number",
    "integer": "number",
    "choice": "one-hot",
    "boolean": "boolean",
    "text": "none",
}
"""Each kind, and how its values become numbers (`x-feature`, collectives.training.features)."""
SIMPLE = frozenset(
    {"type", "title", "description", "enum", "minimum", "maximum", "maxLength", "minLength", "x-feature"}
)


def build(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The schema for rows of `name title kind values low high needed`; names and limits are checked by the profile."""
    properties = {row["name"]: _property(row) for row in rows}
    return {
        "type": "object",
        "properties": properties,
        "required": [row["name"] for row in rows if row["needed"]],
        "additionalProperties": False,
    }


def _property(row: Mapping[str, Any]) -> dict[str, Any]:
    kind = row["kind"]
    spec: dict[str, Any] = {"type": {"choice": "string", "text": "string"}.get(kind, kind)}
    if row.get("title"):
        spec["title"] = row["title"]
    if kind == "choice":
        spec["enum"] = [value.strip() for value in row["values"].split(",") if value.strip()]
    if kind == "text":
        spec["maxLength"] = 200
    if kind in ("number", "integer"):
        limits = (("minimum", row["low"]), ("maximum", row["high"]))
        spec |= {word: _plain(value) for word, value in limits if value is not None}
    spec["x-feature"] = {"encode": FEATURES[kind]}
    return spec


def _plain(value: float) -> float | int:
    """24.0 is written as 24: people read the requirement, and both are the same number."""
    return int(value) if float(value).is_integer() else value


def rows_of(requirement: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The rows of a flat requirement, or None when it needs more than a table can say."""
    needed = set(requirement.get("required", ()))
    rows = []
    for name, spec in requirement.get("properties", {}).items():
        kind = "choice" if "enum" in spec else {"string": "text"}.get(spec.get("type"), spec.get("type"))
        mixed = kind == "choice" and any(not isinstance(value, str) or "," in value for value in spec["enum"])
        plain = spec.get("x-feature") == {"encode": FEATURES.get(kind)}
        if kind not in FEATURES or set(spec) - SIMPLE or mixed or not plain:
            return None
        rows.append(
            {
                "name": name,
                "title": spec.get("title", ""),
                "kind": kind,
                "values": ", ".join(spec.get("enum", ())),
                "low": spec.get("minimum"),
                "high": spec.get("maximum"),
                "needed": name in needed,
            }
        )
    return rows
