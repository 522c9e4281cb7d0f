"""One invented record that meets a data requirement, and what its fields are called for people.

It is computed from the requirement alone, so that a holder sees what is asked before having anything; it is nobody's data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from collectives.terms.canonical import canonical
from collectives.terms.requirements import validate

MOST_ENTRIES = 50
LONGEST = 200
_TRIES = 3 * MOST_ENTRIES


def label(name: str, spec: Mapping[str, Any]) -> str:
    """What a field is called for people: its title, or its short name as words."""
    title = str(spec.get("title") or "").strip()
    if title:
        return title
    words = name.replace("_", " ").replace("-", " ").strip() or name
    return words[0].upper() + words[1:]


def example(requirement: Mapping[str, Any]) -> dict[str, Any] | None:
    """A record that meets the requirement; None where that would take very long lists or texts, or cannot be met at all."""
    try:
        record = _value(requirement, 0)
    except _TooLong:
        return None
    return record if isinstance(record, dict) and not validate(requirement, record) else None


class _TooLong(Exception):
    """Nobody would read this example."""


def _value(node: Mapping[str, Any], at: int) -> Any:
    """`at` counts the entries of a list, so that they differ."""
    if "const" in node:
        return node["const"]
    if "enum" in node:
        return node["enum"][at % len(node["enum"])]
    match node["type"]:
        case "object":
            return {name: _value(child, at) for name, child in node["properties"].items()}
        case "array":
            return _list(node, at)
        case "string":
            return _text(node, at)
        case "boolean":
            return at % 2 == 0
    return _number(node, at)


def _list(node: Mapping[str, Any], at: int) -> list[Any]:
    least = node.get("minItems", 0)
    count = max(least, min(2, node.get("maxItems", 2)))
    if count > MOST_ENTRIES:
        raise _TooLong
    key = node.get("x-unique-by")
    different = key is not None or node.get("uniqueItems", False)
    found: list[Any] = []
    seen: set[bytes] = set()
    for number in range(at, at + _TRIES):
        if len(found) >= count:
            break
        item = _value(node["items"], number)
        mark = canonical(item[key] if isinstance(item, dict) and key in item else item)
        if different and mark in seen:
            continue
        seen.add(mark)
        found.append(item)
    return found


def _text(node: Mapping[str, Any], at: int) -> str:
    least, most = node.get("minLength", 0), node.get("maxLength", LONGEST)
    if least > LONGEST:
        raise _TooLong
    word = "example" if at == 0 else f"example {at + 1}"
    return word.ljust(least, ".")[:most]


def _number(node: Mapping[str, Any], at: int) -> float | int:
    low, high = node.get("minimum"), node.get("maximum")
    if low is None:
        low = high - 10 if high is not None else 0
    if high is None:
        high = low + 10
    share = (0.5 + 0.17 * at) % 1
    value = low + (high - low) * share
    if node["type"] == "integer":
        return max(math.ceil(low), min(math.floor(high), round(value)))
    span = high - low
    places = 2 - math.floor(math.log10(span)) if span > 0 else 6
    rounded = float(round(value, max(0, min(12, places))))
    inside = max(low, min(high, rounded))
    return int(inside) if float(inside).is_integer() else inside
