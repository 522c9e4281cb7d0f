"""The grammar of data requirements: which JSON Schema words may stand where, and what each `x-feature` needs.

Whatever passes here can be compiled by any JSON Schema library and encoded by `training.features` without a further question,
so an owner learns about a mistake while writing the requirement and not when the first job starts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from collectives.terms.canonical import canonical
from collectives.terms.errors import TermsError

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
ASSURANCES = ("declared", "attested", "unlinkable")
"""How the presence of a field is shown: the holder's word, an issuer's signature, or a proof about one that links nothing."""
MAX_ISSUERS = 50
_ISSUER = re.compile(r"did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{40,48}")
TRANSFORMS = ("linear", "log1p")
MAX_DEPTH = 4
MAX_FIELDS = 200
MAX_ENUM = 500
MAX_BINS = 100
MAX_NAME, MAX_TEXT = 120, 2000
LARGEST = 10**15
"""Ends of public ranges and edges of bins stay below this, so that scaling to [−1, 1] neither overflows nor loses the value."""
_COUNTS = (("minItems", "maxItems"), ("minLength", "maxLength"))


def check_node(node: Any, place: str, depth: int) -> None:
    """Raises:
    TermsError: `bad_requirement`, naming the place and what is allowed there.
    """
    if not isinstance(node, Mapping):
        raise _refuse(f"{place} must be an object with a type.")
    if depth <= 0 and node.get("type") in ("object", "array"):
        raise _refuse(f"{place} is nested deeper than {MAX_DEPTH} levels.")
    unknown = set(node) - WORDS
    if unknown:
        raise _refuse(
            f"{place} uses {_listed(unknown)}, which a data requirement may not. Allowed: {_listed(WORDS)}."
        )
    if node.get("type") not in TYPES:
        raise _refuse(f"{place} needs a type: {', '.join(TYPES)}.")
    _check_bounds(node, place)
    _check_listed(node, place)
    _check_words(node, place)
    if depth == MAX_DEPTH - 1:
        _check_assurance(node, place)
    elif "x-assurance" in node or "x-issuers" in node:
        raise _refuse(f"x-assurance and x-issuers belong to a whole field of the record, not to {place}.")
    if node["type"] == "object":
        _check_object(node, place, depth)
    if node["type"] == "array":
        if "items" not in node:
            raise _refuse(f"{place} is a list and must say what its items are.")
        check_node(node["items"], f"the items of {place}", depth - 1)
    if "x-unique-by" in node and node["x-unique-by"] not in list(_item_properties(node)):
        raise _refuse(f"x-unique-by of {place} must name a property of its items.")
    if "x-feature" in node:
        _check_feature(node, place)


def _check_bounds(node: Mapping[str, Any], place: str) -> None:
    for least, most in _COUNTS:
        for word in (least, most):
            if word in node and not (_is_whole(node[word]) and 0 <= node[word] < 2**31):
                raise _refuse(f"{word} of {place} must be a whole number, zero or more.")
        if node.get(least, 0) > node.get(most, LARGEST):
            raise _refuse(f"{place} asks for a {least} above its {most}.")
    for word in ("minimum", "maximum"):
        if word in node and not _is_number(node[word]):
            raise _refuse(f"{word} of {place} must be a number within ±10^15.")
    if "minimum" in node and "maximum" in node and node["minimum"] > node["maximum"]:
        raise _refuse(f"{place} asks for a minimum above its maximum.")


def _check_listed(node: Mapping[str, Any], place: str) -> None:
    if "enum" in node:
        values = node["enum"]
        if not isinstance(values, list) or not 1 <= len(values) <= MAX_ENUM:
            raise _refuse(f"The list of values of {place} has 1 to {MAX_ENUM} entries.")
        if not all(_has_type(value, node["type"]) for value in values):
            raise _refuse(f"The list of values of {place} holds one that is no {node['type']}.")
        if len({canonical(value) for value in values}) != len(values):
            raise _refuse(f"The list of values of {place} repeats a value.")
    if "const" in node and not _has_type(node["const"], node["type"]):
        raise _refuse(f"const of {place} must be a {node['type']}; objects and lists cannot be constants.")


def _check_words(node: Mapping[str, Any], place: str) -> None:
    for word in ("title", "description"):
        if word in node and not _is_text(node[word], MAX_TEXT):
            raise _refuse(f"{word} of {place} must be text of at most {MAX_TEXT} characters.")
    if not isinstance(node.get("uniqueItems", False), bool):
        raise _refuse(f"uniqueItems of {place} is true or false.")


def _check_object(node: Mapping[str, Any], place: str, depth: int) -> None:
    properties = node.get("properties")
    if not isinstance(properties, Mapping) or not 1 <= len(properties) <= MAX_FIELDS:
        raise _refuse(f"{place} needs 1 to {MAX_FIELDS} properties.")
    if not all(_is_text(name, MAX_NAME) and name for name in properties):
        raise _refuse(f"The names of the properties of {place} have 1 to {MAX_NAME} characters.")
    if node.get("additionalProperties") is not False:
        raise _refuse(f"{place} must set additionalProperties to false.")
    required = node.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise _refuse(f"required of {place} must be a list of names.")
    if not set(required) <= set(properties):
        raise _refuse(f"{place} requires a field that it does not describe.")
    if len(set(required)) != len(required):
        raise _refuse(f"{place} requires a field twice.")
    for name, child in properties.items():
        check_node(child, name, depth - 1)


def _check_assurance(field: Mapping[str, Any], place: str) -> None:
    """How far a field's presence must be proven, and by whom. The words stand on the fields of the record itself."""
    assurance, issuers = field.get("x-assurance", "declared"), field.get("x-issuers", [])
    if assurance not in ASSURANCES:
        raise _refuse(f"x-assurance of {place} is one of {', '.join(ASSURANCES)}.")
    good = isinstance(issuers, list) and len(issuers) <= MAX_ISSUERS
    if not good or not all(isinstance(issuer, str) and _ISSUER.fullmatch(issuer) for issuer in issuers):
        raise _refuse(
            f"x-issuers of {place} lists at most {MAX_ISSUERS} issuers by their did:key identifiers."
        )
    if len(set(issuers)) != len(issuers):
        raise _refuse(f"x-issuers of {place} names an issuer twice.")
    if (assurance != "declared") != bool(issuers):
        raise _refuse(
            f"{place} must name the issuers it trusts (x-issuers) exactly when it asks for attested values."
        )


# --- x-feature: what each encoding needs to know in public --------------------------------------------------------


def _check_feature(node: Mapping[str, Any], place: str) -> None:
    feature = node["x-feature"]
    if not isinstance(feature, Mapping) or feature.get("encode") not in FEATURES:
        raise _refuse(f"x-feature of {place} must name an encoding: {', '.join(FEATURES)}.")
    unknown = set(feature) - FEATURE_WORDS
    if unknown:
        raise _refuse(f"x-feature of {place} has the unknown part {_listed(unknown)}.")
    _ENCODINGS.get(feature["encode"], _nothing)(node, feature, place)


def _check_number(node: Mapping[str, Any], feature: Mapping[str, Any], place: str) -> None:
    if not _is_ranged(node):
        raise _refuse(f"{place} is encoded as a number and needs a public minimum and maximum.")
    if feature.get("transform", "linear") not in TRANSFORMS:
        raise _refuse(f"The transform of {place} is {' or '.join(TRANSFORMS)}.")
    if feature.get("transform") == "log1p" and node["minimum"] <= -1:
        raise _refuse(f"The logarithm log1p of {place} needs a minimum above -1.")
    bins = feature.get("bins", [])
    good = isinstance(bins, list) and len(bins) <= MAX_BINS and all(_is_number(edge) for edge in bins)
    if not good or any(a >= b for a, b in pairwise(bins)):
        raise _refuse(f"The bins of {place} must be at most {MAX_BINS} ascending numbers.")


def _check_one_hot(node: Mapping[str, Any], feature: Mapping[str, Any], place: str) -> None:
    if "enum" not in node:
        raise _refuse(f"{place} is encoded one-hot and needs its list of values (enum).")
    if feature.get("unlisted_to") is not None and feature["unlisted_to"] not in node["enum"]:
        raise _refuse(f"unlisted_to of {place} must be one of its own values.")


def _check_multi_hot(node: Mapping[str, Any], _: Mapping[str, Any], place: str) -> None:
    if node["type"] != "array" or "enum" not in node["items"]:
        raise _refuse(f"{place} is encoded multi-hot; it must be a list whose items have a list of values.")


def _check_boolean(node: Mapping[str, Any], _: Mapping[str, Any], place: str) -> None:
    if node["type"] != "boolean":
        raise _refuse(f"{place} is encoded as a boolean and must be one.")


def _check_measurements(node: Mapping[str, Any], feature: Mapping[str, Any], place: str) -> None:
    item = _item_properties(node)
    name, value = (
        item.get(str(feature.get("name", "name"))),
        item.get(str(feature.get("value", "measurements"))),
    )
    good = name is not None and "enum" in name and value is not None and value.get("type") == "array"
    if value is None or not good or not _is_ranged(value["items"]):
        raise _refuse(
            f"{place} is encoded by its measurements; its items need a name from a list of values and a list of numbers with a "
            "public minimum and maximum."
        )


def _nothing(node: Mapping[str, Any], feature: Mapping[str, Any], place: str) -> None:
    """`none`: the field is asked for and not learned from."""


_ENCODINGS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any], str], None]] = {
    "number": _check_number,
    "one-hot": _check_one_hot,
    "multi-hot": _check_multi_hot,
    "boolean": _check_boolean,
    "mean-of-measurements": _check_measurements,
}


# --- small questions ----------------------------------------------------------------------------------------------


def _refuse(sentence: str) -> TermsError:
    return TermsError("bad_requirement", sentence)


def _listed(names: Any) -> str:
    return ", ".join(sorted(map(str, names)))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return good and math.isfinite(value) and abs(value) <= LARGEST


def _is_text(value: Any, most: int) -> bool:
    return isinstance(value, str) and len(value) <= most


def _is_ranged(node: Mapping[str, Any]) -> bool:
    return node["type"] in ("integer", "number") and "minimum" in node and "maximum" in node


def _has_type(value: Any, kind: str) -> bool:
    match kind:
        case "string":
            return _is_text(value, MAX_TEXT)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return _is_whole(value) and _is_number(value)
        case "number":
            return _is_number(value)
    return False


def _item_properties(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The properties of a list's items, once the list itself was checked."""
    if node["type"] != "array" or node["items"]["type"] != "object":
        return {}
    found: Mapping[str, Any] = node["items"]["properties"]
    return found
