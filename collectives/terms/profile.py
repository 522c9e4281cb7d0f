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
from collectives.terms.sentences import Sentence

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
        raise _refuse("%(place)s must be an object with a type.", place=place)
    if depth <= 0 and node.get("type") in ("object", "array"):
        raise _refuse(
            "%(place)s is nested deeper than %(max_depth)s levels.", place=place, max_depth=MAX_DEPTH
        )
    unknown = set(node) - WORDS
    if unknown:
        raise _refuse(
            "%(place)s uses %(unknown)s, which a data requirement may not. Allowed: %(words)s.",
            place=place,
            unknown=_listed(unknown),
            words=_listed(WORDS),
        )
    if node.get("type") not in TYPES:
        raise _refuse("%(place)s needs a type: %(types)s.", place=place, types=", ".join(TYPES))
    _check_bounds(node, place)
    _check_listed(node, place)
    _check_words(node, place)
    if depth == MAX_DEPTH - 1:
        _check_assurance(node, place)
    elif "x-assurance" in node or "x-issuers" in node:
        raise _refuse(
            "x-assurance and x-issuers belong to a whole field of the record, not to %(place)s.", place=place
        )
    if node["type"] == "object":
        _check_object(node, place, depth)
    if node["type"] == "array":
        if "items" not in node:
            raise _refuse("%(place)s is a list and must say what its items are.", place=place)
        check_node(node["items"], Sentence("the items of %(place)s", place=place), depth - 1)
    if "x-unique-by" in node and node["x-unique-by"] not in list(_item_properties(node)):
        raise _refuse("x-unique-by of %(place)s must name a property of its items.", place=place)
    if "x-feature" in node:
        _check_feature(node, place)


def _check_bounds(node: Mapping[str, Any], place: str) -> None:
    for least, most in _COUNTS:
        for word in (least, most):
            if word in node and not (_is_whole(node[word]) and 0 <= node[word] < 2**31):
                raise _refuse(
                    "%(word)s of %(place)s must be a whole number, zero or more.", word=word, place=place
                )
        if node.get(least, 0) > node.get(most, LARGEST):
            raise _refuse(
                "%(place)s asks for a %(least)s above its %(most)s.", place=place, least=least, most=most
            )
    for word in ("minimum", "maximum"):
        if word in node and not _is_number(node[word]):
            raise _refuse("%(word)s of %(place)s must be a number within ±10^15.", word=word, place=place)
    if "minimum" in node and "maximum" in node and node["minimum"] > node["maximum"]:
        raise _refuse("%(place)s asks for a minimum above its maximum.", place=place)


def _check_listed(node: Mapping[str, Any], place: str) -> None:
    if "enum" in node:
        values = node["enum"]
        if not isinstance(values, list) or not 1 <= len(values) <= MAX_ENUM:
            raise _refuse(
                "The list of values of %(place)s has 1 to %(max_enum)s entries.",
                place=place,
                max_enum=MAX_ENUM,
            )
        if not all(_has_type(value, node["type"]) for value in values):
            raise _refuse(
                "The list of values of %(place)s holds one that is no %(type)s.",
                place=place,
                type=node["type"],
            )
        if len({canonical(value) for value in values}) != len(values):
            raise _refuse("The list of values of %(place)s repeats a value.", place=place)
    if "const" in node and not _has_type(node["const"], node["type"]):
        raise _refuse(
            "const of %(place)s must be a %(type)s; objects and lists cannot be constants.",
            place=place,
            type=node["type"],
        )


def _check_words(node: Mapping[str, Any], place: str) -> None:
    for word in ("title", "description"):
        if word in node and not _is_text(node[word], MAX_TEXT):
            raise _refuse(
                "%(word)s of %(place)s must be text of at most %(max_text)s characters.",
                word=word,
                place=place,
                max_text=MAX_TEXT,
            )
    if not isinstance(node.get("uniqueItems", False), bool):
        raise _refuse("uniqueItems of %(place)s is true or false.", place=place)


def _check_object(node: Mapping[str, Any], place: str, depth: int) -> None:
    properties = node.get("properties")
    if not isinstance(properties, Mapping) or not 1 <= len(properties) <= MAX_FIELDS:
        raise _refuse("%(place)s needs 1 to %(max_fields)s properties.", place=place, max_fields=MAX_FIELDS)
    if not all(_is_text(name, MAX_NAME) and name for name in properties):
        raise _refuse(
            "The names of the properties of %(place)s have 1 to %(max_name)s characters.",
            place=place,
            max_name=MAX_NAME,
        )
    if node.get("additionalProperties") is not False:
        raise _refuse("%(place)s must set additionalProperties to false.", place=place)
    required = node.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise _refuse("required of %(place)s must be a list of names.", place=place)
    if not set(required) <= set(properties):
        raise _refuse("%(place)s requires a field that it does not describe.", place=place)
    if len(set(required)) != len(required):
        raise _refuse("%(place)s requires a field twice.", place=place)
    for name, child in properties.items():
        check_node(child, name, depth - 1)


def _check_assurance(field: Mapping[str, Any], place: str) -> None:
    """How far a field's presence must be proven, and by whom. The words stand on the fields of the record itself."""
    assurance, issuers = field.get("x-assurance", "declared"), field.get("x-issuers", [])
    if assurance not in ASSURANCES:
        raise _refuse(
            "x-assurance of %(place)s is one of %(assurances)s.",
            place=place,
            assurances=", ".join(ASSURANCES),
        )
    good = isinstance(issuers, list) and len(issuers) <= MAX_ISSUERS
    if not good or not all(isinstance(issuer, str) and _ISSUER.fullmatch(issuer) for issuer in issuers):
        raise _refuse(
            "x-issuers of %(place)s lists at most %(max_issuers)s issuers by their did:key identifiers.",
            place=place,
            max_issuers=MAX_ISSUERS,
        )
    if len(set(issuers)) != len(issuers):
        raise _refuse("x-issuers of %(place)s names an issuer twice.", place=place)
    if (assurance != "declared") != bool(issuers):
        raise _refuse(
            "%(place)s must name the issuers it trusts (x-issuers) exactly when it asks for attested values.",
            place=place,
        )


# --- x-feature: what each encoding needs to know in public --------------------------------------------------------


def _check_feature(node: Mapping[str, Any], place: str) -> None:
    feature = node["x-feature"]
    if not isinstance(feature, Mapping) or feature.get("encode") not in FEATURES:
        raise _refuse(
            "x-feature of %(place)s must name an encoding: %(features)s.",
            place=place,
            features=", ".join(FEATURES),
        )
    unknown = set(feature) - FEATURE_WORDS
    if unknown:
        raise _refuse(
            "x-feature of %(place)s has the unknown part %(unknown)s.", place=place, unknown=_listed(unknown)
        )
    _ENCODINGS.get(feature["encode"], _nothing)(node, feature, place)


def _check_number(node: Mapping[str, Any], feature: Mapping[str, Any], place: str) -> None:
    if not _is_ranged(node):
        raise _refuse("%(place)s is encoded as a number and needs a public minimum and maximum.", place=place)
    if feature.get("transform", "linear") not in TRANSFORMS:
        raise _refuse(
            "The transform of %(place)s is %(transforms)s.", place=place, transforms=" or ".join(TRANSFORMS)
        )
    if feature.get("transform") == "log1p" and node["minimum"] <= -1:
        raise _refuse("The logarithm log1p of %(place)s needs a minimum above -1.", place=place)
    bins = feature.get("bins", [])
    good = isinstance(bins, list) and len(bins) <= MAX_BINS and all(_is_number(edge) for edge in bins)
    if not good or any(a >= b for a, b in pairwise(bins)):
        raise _refuse(
            "The bins of %(place)s must be at most %(max_bins)s ascending numbers.",
            place=place,
            max_bins=MAX_BINS,
        )


def _check_one_hot(node: Mapping[str, Any], feature: Mapping[str, Any], place: str) -> None:
    if "enum" not in node:
        raise _refuse("%(place)s is encoded one-hot and needs its list of values (enum).", place=place)
    if feature.get("unlisted_to") is not None and feature["unlisted_to"] not in node["enum"]:
        raise _refuse("unlisted_to of %(place)s must be one of its own values.", place=place)


def _check_multi_hot(node: Mapping[str, Any], _: Mapping[str, Any], place: str) -> None:
    if node["type"] != "array" or "enum" not in node["items"]:
        raise _refuse(
            "%(place)s is encoded multi-hot; it must be a list whose items have a list of values.",
            place=place,
        )


def _check_boolean(node: Mapping[str, Any], _: Mapping[str, Any], place: str) -> None:
    if node["type"] != "boolean":
        raise _refuse("%(place)s is encoded as a boolean and must be one.", place=place)


def _check_measurements(node: Mapping[str, Any], feature: Mapping[str, Any], place: str) -> None:
    item = _item_properties(node)
    name, value = (
        item.get(str(feature.get("name", "name"))),
        item.get(str(feature.get("value", "measurements"))),
    )
    good = name is not None and "enum" in name and value is not None and value.get("type") == "array"
    if value is None or not good or not _is_ranged(value["items"]):
        raise _refuse(
            "%(place)s is encoded by its measurements; its items need a name from a list of values and a "
            "list of numbers with a public minimum and maximum.",
            place=place,
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


def _refuse(sentence: str, /, **values: Any) -> TermsError:
    return TermsError("bad_requirement", sentence, **values)


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
