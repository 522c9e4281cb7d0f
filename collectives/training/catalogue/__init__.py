"""Ready-made algorithms: a JSON file each, filled in for a data requirement.

A file has `title`, `use` (what it is good for), `targets` (encodings of fields it can predict; none for a query), for kinds with a
natural bound `clip_of_bound_micro` (the clip, in millionths of that bound), and the `manifest` with these places to fill:
`$inputs $target $width_in $width_out $purpose`, `$loss` (softmax for one field of listed values, squared error when a number is
among the targets, else yes or no), `$seed` (public, from the requirement), `$blocks` (one for each input of listed values), `$features` (of a random layer: at most
30, so few that a hundred wallets may answer; see `release_ratio`), `$clip`.

    build("mlp", requirement, inputs=["age", "town"], target=["ill"])  ->  a manifest, checked against the requirement
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from collectives.terms.algorithm import natural_bound, parse_manifest, triangle
from collectives.terms.errors import TermsError
from collectives.terms.requirements import requirement_hash
from collectives.training.features import Encoder, encoding, input_widths, target_width

LABEL = b"cssi/v1/catalogue"
LISTED = ("one-hot", "multi-hot")
MOST_EMBEDDED = 8
LEAST_FEATURES, MOST_FEATURES = 8, 30
SMALLEST_COHORT = 100


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One algorithm of the catalogue. `template` is its manifest with places to fill."""

    name: str
    title: str
    use: str
    targets: tuple[str, ...]
    clip_of_bound_micro: int
    template: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """What a wallet sends."""
        return str(self.template["output"]["kind"])


@cache
def entries() -> tuple[Entry, ...]:
    """All of them, by name."""
    found = [file for file in files(__name__).iterdir() if file.name.endswith(".json")]
    return tuple(
        _entry(file.name.removesuffix(".json"), json.loads(file.read_text("utf-8")))
        for file in sorted(found, key=lambda file: file.name)
    )


def entry(name: str) -> Entry:
    """Raises:
    TermsError: `unknown_algorithm`, with the names there are.
    """
    for found in entries():
        if found.name == name:
            return found
    known = ", ".join(found.name for found in entries())
    raise TermsError(
        "unknown_algorithm", "The catalogue has no %(name)s. It has %(known)s.", name=name, known=known
    )


def build(
    name: str,
    requirement: Mapping[str, Any],
    *,
    inputs: Sequence[str],
    target: Sequence[str] = (),
    purpose: str = "",
) -> dict[str, Any]:
    """The manifest of a catalogue entry for these fields of a requirement.

    Raises:
        TermsError: `unknown_algorithm`; `wrong_fields` when it cannot predict such a target, or needs other inputs.
    """
    found = entry(name)
    _check_target(found, requirement, target)
    widths = input_widths(requirement, inputs)
    blocks = _blocks(requirement, inputs, widths)
    if not blocks and "$blocks" in json.dumps(found.template):
        raise TermsError("wrong_fields", "%(title)s needs an input of listed values.", title=found.title)
    seed = LABEL + found.name.encode() + bytes.fromhex(requirement_hash(requirement))
    places = {
        "$inputs": list(inputs),
        "$target": list(target),
        "$width_in": sum(widths),
        "$width_out": target_width(requirement, target),
        "$purpose": purpose or found.use,
        "$loss": _loss(requirement, target),
        "$seed": hashlib.sha256(seed).hexdigest(),
        "$blocks": blocks,
        "$features": _features(target_width(requirement, target), len(inputs) + len(target)),
        "$clip": 1,
    }
    return _clipped(found, requirement, places)


def evaluation_of(document: Mapping[str, Any], *, bins: int = 32) -> dict[str, Any]:
    """The manifest that measures how good checkpoints of a model are, on wallets' records: a federated evaluation."""
    made = {name: value for name, value in document.items() if name != "training"}
    made["name"] = f"{document['name'][:100]}: evaluation"
    made["output"] = {"kind": "evaluation", "clip_micro": 1, "bins": bins}
    bound = natural_bound(parse_manifest(made))
    assert bound is not None
    made["output"]["clip_micro"] = math.ceil(bound * 1e6)
    parse_manifest(made)
    return made


def _entry(name: str, document: Mapping[str, Any]) -> Entry:
    return Entry(
        name=name,
        title=document["title"],
        use=document["use"],
        targets=tuple(document["targets"]),
        clip_of_bound_micro=document.get("clip_of_bound_micro", 0),
        template=document["manifest"],
    )


def _check_target(found: Entry, requirement: Mapping[str, Any], target: Sequence[str]) -> None:
    if bool(found.targets) != bool(target):
        if found.targets:
            raise TermsError("wrong_fields", "%(title)s needs a field to predict.", title=found.title)
        raise TermsError("wrong_fields", "%(title)s predicts nothing; name no target.", title=found.title)
    for name in target:
        if encoding(requirement, name) not in found.targets:
            raise TermsError(
                "wrong_fields",
                "%(title)s cannot predict %(name)s; another algorithm can.",
                title=found.title,
                name=name,
            )


def _loss(requirement: Mapping[str, Any], target: Sequence[str]) -> str:
    kinds = [encoding(requirement, name) for name in target]
    if kinds == ["one-hot"]:
        return "softmax-cross-entropy"
    return "mse" if "number" in kinds else "bce-with-logits"


def _blocks(
    requirement: Mapping[str, Any], inputs: Sequence[str], widths: Sequence[int]
) -> list[dict[str, int]]:
    blocks, at = [], 0
    for name, columns in zip(inputs, widths, strict=True):
        if encoding(requirement, name) in LISTED:
            blocks.append({"at": at, "columns": columns, "out": min(MOST_EMBEDDED, (columns + 1) // 2)})
        at += columns
    return blocks


def _features(answers: int, fields: int) -> int:
    """Random features whose sums stay at one number per wallet and field in the smallest cohort."""
    allowed = SMALLEST_COHORT * fields
    fitting = [
        n for n in range(LEAST_FEATURES, MOST_FEATURES + 1) if triangle(n + 1) + (n + 1) * answers <= allowed
    ]
    return max(fitting, default=LEAST_FEATURES)


def _clipped(found: Entry, requirement: Mapping[str, Any], places: dict[str, Any]) -> dict[str, Any]:
    """Filled in; where the clip follows from the bound, once to learn the bound and once with it."""
    made: dict[str, Any] = _filled(found.template, places)
    if found.clip_of_bound_micro:
        bound = natural_bound(parse_manifest(made))
        assert bound is not None
        made = _filled(found.template, places | {"$clip": math.ceil(bound * found.clip_of_bound_micro)})
    Encoder(requirement, parse_manifest(made))
    return made


def _filled(part: Any, places: Mapping[str, Any]) -> Any:
    if isinstance(part, str):
        return places[part] if part.startswith("$") else part
    if isinstance(part, Mapping):
        return {name: _filled(value, places) for name, value in part.items()}
    return [_filled(item, places) for item in part] if isinstance(part, list) else part
