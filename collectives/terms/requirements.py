"""Data requirements: a closed profile of JSON Schema 2020-12 (docs/protocol/interfaces.md, design of the wallet).

Allowed words: type enum const minimum maximum minItems maxItems minLength maxLength uniqueItems required properties items
additionalProperties(false) title description, and ours: `x-unique-by` (no two items with the same value of a property),
`x-assurance` (declared | attested), `x-issuers`, `x-feature` (how the value becomes numbers; see training.features). No
references, patterns or conditions: a person must be able to read what is asked, and two programs must agree on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jsonschema_rs

from collectives.terms.canonical import canonical, digest
from collectives.terms.errors import TermsError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TYPES = ("object", "array", "string", "integer", "number", "boolean")
WORDS = frozenset(
    {
        *("type", "enum", "const", "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength"),
        *("uniqueItems", "required", "properties", "items", "additionalProperties", "title", "description"),
        *("x-unique-by", "x-assurance", "x-issuers", "x-feature"),
    }
)
FEATURES = ("number", "one-hot", "multi-hot", "boolean", "mean-of-measurements", "none")
FEATURE_WORDS = frozenset(
    ("encode", "transform", "bins", "absent", "unlisted_to", "name", "value", "min", "max")
)
MAX_DEPTH = 4
MAX_FIELDS = 200
MAX_ENUM = 500
MAX_BYTES = 128 * 1024


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing a record lacks or has wrong; `str()` is the sentence for the person. Values are never repeated."""

    field: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.field}: {self.sentence}" if self.field else self.sentence


def check_profile(requirement: Any) -> None:
    """Raises:
    TermsError: `bad_requirement`, naming the place and what is allowed there.
    """
    if not isinstance(requirement, Mapping) or requirement.get("type") != "object":
        raise TermsError("bad_requirement", "A data requirement is a JSON Schema of type object.")
    if len(canonical(requirement)) > MAX_BYTES:
        raise TermsError("bad_requirement", f"A data requirement holds at most {MAX_BYTES // 1024} KiB.")
    _check(requirement, "the requirement", MAX_DEPTH)


def requirement_hash(requirement: Mapping[str, Any]) -> str:
    """The requirement's id: SHA-256 of its RFC 8785 form, hex. Any change is another requirement."""
    return digest(requirement).hex()


def validate(requirement: Mapping[str, Any], record: Any) -> list[Problem]:
    """What is wrong with one person's record, in words; an empty list when it meets the requirement."""
    problems = [_problem(error) for error in _validator(requirement).iter_errors(record)]
    problems += _repeated(requirement, record, "")
    unique: dict[str, Problem] = {str(problem): problem for problem in problems}
    return list(unique.values())


_VALIDATORS: dict[bytes, Any] = {}


def _validator(requirement: Mapping[str, Any]) -> Any:
    # Compiling costs a thousand times a validation; a wallet asks about the same few requirements again and again.
    key = digest(requirement)
    found = _VALIDATORS.get(key)
    if found is None:
        if len(_VALIDATORS) >= 32:
            _VALIDATORS.clear()
        found = _VALIDATORS[key] = jsonschema_rs.Draft202012Validator(dict(requirement))
    return found


def _check(node: Any, place: str, depth: int) -> None:
    if not isinstance(node, Mapping):
        raise TermsError("bad_requirement", f"{place} must be an object with a type.")
    if depth <= 0 and node.get("type") in ("object", "array"):
        raise TermsError("bad_requirement", f"{place} is nested deeper than {MAX_DEPTH} levels.")
    unknown = set(node) - WORDS
    if unknown:
        raise TermsError(
            "bad_requirement",
            f"{place} uses {', '.join(sorted(map(str, unknown)))}, which a data requirement may not. Allowed: {', '.join(sorted(WORDS))}.",
        )
    if node.get("type") not in TYPES:
        raise TermsError("bad_requirement", f"{place} needs a type: {', '.join(TYPES)}.")
    _check_values(node, place)
    if node["type"] == "object":
        _check_object(node, place, depth)
    if node["type"] == "array":
        if "items" not in node:
            raise TermsError("bad_requirement", f"{place} is a list and must say what its items are.")
        _check(node["items"], f"the items of {place}", depth - 1)


def _check_values(node: Mapping[str, Any], place: str) -> None:
    for word in ("minItems", "maxItems", "minLength", "maxLength"):
        if word in node and (
            isinstance(node[word], bool) or not isinstance(node[word], int) or node[word] < 0
        ):
            raise TermsError("bad_requirement", f"{word} of {place} must be a whole number, zero or more.")
    for word in ("minimum", "maximum"):
        if word in node and (isinstance(node[word], bool) or not isinstance(node[word], int | float)):
            raise TermsError("bad_requirement", f"{word} of {place} must be a number.")
    if "minimum" in node and "maximum" in node and node["minimum"] > node["maximum"]:
        raise TermsError("bad_requirement", f"{place} asks for a minimum above its maximum.")
    if "enum" in node:
        values = node["enum"]
        if not isinstance(values, list) or not 1 <= len(values) <= MAX_ENUM:
            raise TermsError("bad_requirement", f"The list of values of {place} has 1 to {MAX_ENUM} entries.")
        if len({canonical(value) for value in values}) != len(values):
            raise TermsError("bad_requirement", f"The list of values of {place} repeats a value.")
    if node.get("x-assurance", "declared") not in ("declared", "attested"):
        raise TermsError("bad_requirement", f"x-assurance of {place} is declared or attested.")
    if "x-feature" in node:
        _check_feature(node["x-feature"], place)


def _check_feature(feature: Any, place: str) -> None:
    if not isinstance(feature, Mapping) or feature.get("encode") not in FEATURES:
        raise TermsError(
            "bad_requirement", f"x-feature of {place} must name an encoding: {', '.join(FEATURES)}."
        )
    unknown = set(feature) - FEATURE_WORDS
    if unknown:
        raise TermsError(
            "bad_requirement", f"x-feature of {place} has the unknown part {', '.join(sorted(unknown))}."
        )
    bins = feature.get("bins", [])
    if not isinstance(bins, list) or len(bins) > 100 or any(a >= b for a, b in pairwise(bins)):
        raise TermsError("bad_requirement", f"The bins of {place} must be at most 100 ascending numbers.")


def _check_object(node: Mapping[str, Any], place: str, depth: int) -> None:
    properties = node.get("properties")
    if not isinstance(properties, Mapping) or not 1 <= len(properties) <= MAX_FIELDS:
        raise TermsError("bad_requirement", f"{place} needs 1 to {MAX_FIELDS} properties.")
    if node.get("additionalProperties") is not False:
        raise TermsError("bad_requirement", f"{place} must set additionalProperties to false.")
    required = node.get("required", [])
    if not isinstance(required, list) or not set(map(str, required)) <= set(properties):
        raise TermsError("bad_requirement", f"{place} requires a field that it does not describe.")
    for name, child in properties.items():
        _check(child, name, depth - 1)


def _problem(error: Any) -> Problem:
    path = [str(part) for part in error.instance_path]
    kind = error.kind
    name = kind.name if hasattr(kind, "name") else str(error.schema_path[-1])
    field = ".".join(part for part in path if not part.isdigit())
    value = kind.as_dict() if hasattr(kind, "as_dict") else {}
    return Problem(field=field, sentence=_sentence(name, value, error))


_SENTENCES = {
    "required": "{property} is missing",
    "minItems": "{size} of at least {limit}",
    "maxItems": "{size}, at most {limit} are allowed",
    "minimum": "must be at least {limit}",
    "maximum": "must be at most {limit}",
    "minLength": "needs at least {limit} characters",
    "maxLength": "has more than {limit} characters",
    "enum": "is not one of the listed values",
    "const": "is not the expected value",
    "uniqueItems": "holds the same item twice",
    "additionalProperties": "{unexpected} is not asked for",
    "type": "has the wrong type",
}


def _sentence(name: str, value: Mapping[str, Any], error: Any) -> str:
    size = len(error.instance) if isinstance(error.instance, list | str) else 0
    known = {"property": value.get("property"), "limit": value.get("limit"), "size": size}
    known["unexpected"] = ", ".join(value.get("unexpected", ()))
    return _SENTENCES.get(name, "does not fit").format(**known)


def _repeated(node: Mapping[str, Any], value: Any, place: str) -> Iterator[Problem]:
    """`x-unique-by`, which JSON Schema cannot say."""
    if node["type"] == "object" and isinstance(value, Mapping):
        for name, child in node["properties"].items():
            if name in value:
                yield from _repeated(child, value[name], f"{place}.{name}".lstrip("."))
    if node["type"] == "array" and isinstance(value, list):
        key = node.get("x-unique-by")
        if key is not None:
            names = [canonical(item.get(key)) for item in value if isinstance(item, Mapping)]
            if len(set(names)) != len(names):
                yield Problem(field=place, sentence=f"two entries have the same {key}")
        for item in value:
            yield from _repeated(node["items"], item, place)
