"""Data requirements: a closed profile of JSON Schema 2020-12 (docs/protocol/interfaces.md, design of the wallet).

The grammar is in `profile`. Allowed words: type enum const minimum maximum minItems maxItems minLength maxLength uniqueItems
required properties items additionalProperties(false) title description, and ours: `x-unique-by` (no two items with the same value of a property),
`x-assurance` (declared | attested | unlinkable), `x-issuers`, `x-feature` (how the value becomes numbers; see training.features). No
references, patterns or conditions: a person must be able to read what is asked, and two programs must agree on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from collectives.terms.canonical import canonical, digest
from collectives.terms.errors import TermsError
from collectives.terms.profile import MAX_DEPTH, check_node
from collectives.terms.sentences import Sentence, joined

MAX_BYTES = 128 * 1024


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing a record lacks or has wrong; `str()` is the sentence for the person. Values are never repeated."""

    field: str
    sentence: Sentence

    @property
    def said(self) -> Sentence:
        """Where and what, for doors that speak another language than English."""
        if not self.field:
            return self.sentence
        return Sentence("%(place)s: %(problem)s", place=self.field, problem=self.sentence)

    def __str__(self) -> str:
        return str(self.said)


def check_profile(requirement: Any) -> None:
    """Raises:
    TermsError: `bad_requirement`, naming the place and what is allowed there.
    """
    if not isinstance(requirement, Mapping) or requirement.get("type") != "object":
        raise TermsError("bad_requirement", "A data requirement is a JSON Schema of type object.")
    if len(canonical(requirement)) > MAX_BYTES:
        raise TermsError(
            "bad_requirement",
            "A data requirement holds at most %(max_bytes)s KiB.",
            max_bytes=MAX_BYTES // 1024,
        )
    check_node(requirement, Sentence("the requirement"), MAX_DEPTH)
    try:
        _validator(requirement)
    except jsonschema_rs.ValidationError as error:
        raise TermsError(
            "bad_requirement", "The requirement is no JSON Schema: %(message)s.", message=error.message
        ) from error


def requirement_hash(requirement: Mapping[str, Any]) -> str:
    """The requirement's id: SHA-256 of its RFC 8785 form, hex. Any change is another requirement."""
    return digest(requirement).hex()


def validate(requirement: Mapping[str, Any], record: Any) -> list[Problem]:
    """What is wrong with one person's record, in words; an empty list when it meets the requirement."""
    validator = _validator(requirement)
    try:
        problems = [_problem(error) for error in validator.iter_errors(record)]
        problems += _repeated(requirement, record, ())
    except (
        ValueError,
        RecursionError,
        TermsError,
    ):  # unpaired surrogates, bottomless nesting, values JSON does not know
        return [Problem(field="", sentence=Sentence("The record holds something that JSON cannot carry."))]
    unique: dict[str, Problem] = {str(problem): problem for problem in problems}
    return list(unique.values())


_VALIDATORS: dict[str, Any] = {}


def _validator(requirement: Mapping[str, Any]) -> Any:
    # Compiling costs a thousand times a validation; a wallet asks about the same few requirements again and again.
    key = json.dumps(requirement, sort_keys=True)
    found = _VALIDATORS.get(key)
    if found is None:
        if len(_VALIDATORS) >= 32:
            _VALIDATORS.clear()
        found = _VALIDATORS[key] = jsonschema_rs.Draft202012Validator(dict(requirement))
    return found


def _problem(error: Any) -> Problem:
    kind = error.kind
    name = kind.name if hasattr(kind, "name") else str(error.schema_path[-1])
    field = _place(error.instance_path)
    value = kind.as_dict() if hasattr(kind, "as_dict") else {}
    return Problem(field=field, sentence=_sentence(name, value, error))


def _place(path: Sequence[str | int]) -> str:
    """Where in the record, for a person: `skills, entry 2, measurements`."""
    parts = [Sentence("entry %(number)s", number=str(p + 1)) if isinstance(p, int) else p for p in path]
    return joined(", ", parts) if parts else ""


_SENTENCES = {
    "required": Sentence("%(property)s is missing"),
    "minItems": Sentence("%(size)s of at least %(limit)s"),
    "maxItems": Sentence("%(size)s, at most %(limit)s are allowed"),
    "minimum": Sentence("must be at least %(limit)s"),
    "maximum": Sentence("must be at most %(limit)s"),
    "minLength": Sentence("needs at least %(limit)s characters"),
    "maxLength": Sentence("has more than %(limit)s characters"),
    "enum": Sentence("is not one of the listed values"),
    "const": Sentence("is not the expected value"),
    "uniqueItems": Sentence("holds the same item twice"),
    "additionalProperties": Sentence("%(unexpected)s is not asked for"),
}
_KINDS = {
    "object": Sentence("must be an object"),
    "array": Sentence("must be a list"),
    "string": Sentence("must be text"),
    "integer": Sentence("must be a whole number"),
    "number": Sentence("must be a number"),
    "boolean": Sentence("must be true or false"),
}


def _sentence(name: str, value: Mapping[str, Any], error: Any) -> Sentence:
    size = len(error.instance) if isinstance(error.instance, list | str) else 0
    known = {"property": value.get("property"), "limit": str(value.get("limit")), "size": str(size)}
    known["unexpected"] = ", ".join(value.get("unexpected", ()))
    if name == "type":
        kinds = (_KINDS[kind] for kind in value.get("types", ()) if kind in _KINDS)
        return next(kinds, Sentence("has the wrong type"))
    found = _SENTENCES.get(name, Sentence("does not fit"))
    return Sentence(found.pattern, **known)


def _repeated(node: Mapping[str, Any], value: Any, place: tuple[str | int, ...]) -> Iterator[Problem]:
    """`x-unique-by`, which JSON Schema cannot say."""
    if node["type"] == "object" and isinstance(value, Mapping):
        for name, child in node["properties"].items():
            if name in value:
                yield from _repeated(child, value[name], (*place, name))
    if node["type"] == "array" and isinstance(value, list):
        key = node.get("x-unique-by")
        if key is not None:
            names = [canonical(item[key]) for item in value if isinstance(item, Mapping) and key in item]
            if len(set(names)) != len(names):
                yield Problem(
                    field=_place(place), sentence=Sentence("two entries have the same %(key)s", key=key)
                )
        for number, item in enumerate(value):
            yield from _repeated(node["items"], item, (*place, number))
