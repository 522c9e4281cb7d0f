"""People by chance, on whom an algorithm is tried: an audit sees nobody's records.

With a data requirement they are records that meet it; without one, columns that look like its usual encodings. Answers to predict
are drawn independently of the rest: a model can then learn nothing but these very people, which is the worst case for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collectives.audit.dice import Dice
from collectives.terms.algorithm import Manifest
from collectives.terms.requirements import requirement_hash
from collectives.training.features import Encoder, input_widths, target_width

Floats = NDArray[np.float32]
PRESENT, TRUE = 0.9, 0.3
"""Chances that a field that may be absent is there, and that a yes-or-no field is a yes."""


@dataclass(frozen=True, kw_only=True)
class People:
    """`draw(dice, n)` gives (x [n, width_in], y [n, …]) as an encoder does. `spans` and `target_spans`: the columns (start, end) of
    each input field, and of each predicted one.

    `source`: the requirement's hash, or "columns" where there is none.
    """

    source: str
    spans: tuple[tuple[int, int], ...]
    target_spans: tuple[tuple[int, int], ...]
    draw: Callable[[Dice, int], tuple[Floats, Floats]]


def people_for(manifest: Manifest, requirement: Mapping[str, Any] | None = None) -> People:
    """Raises:
    TermsError: the manifest does not fit the requirement.
    """
    if requirement is None:
        return _by_columns(manifest)
    encoder = Encoder(requirement, manifest)
    widths = (
        input_widths(requirement, manifest.inputs)
        if not manifest.task
        else _even(manifest.width_in, len(manifest.inputs))
    )

    def draw(dice: Dice, count: int) -> tuple[Floats, Floats]:
        return encoder.encode_many([_record(requirement, dice) for _ in range(count)])

    targets = [target_width(requirement, [name]) for name in manifest.target]
    return People(
        source=requirement_hash(requirement),
        spans=_spans(widths),
        target_spans=_of_targets(manifest, targets),
        draw=draw,
    )


def exchanged(
    names: Sequence[str], spans: Sequence[tuple[int, int]], values: Floats
) -> Iterator[tuple[str, Floats]]:
    """For each field the people's values [n, …] with everybody having somebody else's columns of that field."""
    for name, (start, end) in zip(names, spans, strict=False):
        other = values.copy()
        other[:, start:end] = np.roll(values[:, start:end], 1, axis=0)
        yield name, other


# --- records of a requirement -------------------------------------------------------------------------------------


def _record(requirement: Mapping[str, Any], dice: Dice) -> dict[str, Any]:
    needed = requirement.get("required", ())
    return {
        name: _value(spec, dice)
        for name, spec in requirement["properties"].items()
        if name in needed or dice.uniform(1)[0] < PRESENT
    }


def _value(spec: Mapping[str, Any], dice: Dice) -> Any:
    if "const" in spec:
        return spec["const"]
    if "enum" in spec:
        return spec["enum"][int(dice.ranked(len(spec["enum"]), 1)[0])]
    match spec["type"]:
        case "boolean":
            return bool(dice.uniform(1)[0] < TRUE)
        case "integer" | "number":
            low, high = float(spec.get("minimum", -1.0)), float(spec.get("maximum", 1.0))
            drawn = low + (high - low) * float(dice.uniform(1)[0])
            return round(drawn) if spec["type"] == "integer" else drawn
        case "object":
            return _record(spec, dice)
        case "array":
            return _items(spec, dice)
    return "x" * max(1, spec.get("minLength", 1))


def _items(spec: Mapping[str, Any], dice: Dice) -> list[Any]:
    """As many as asked for and up to three more; where items must differ, from a list in random order."""
    item, least = spec["items"], spec.get("minItems", 0)
    count = min(least + int(dice.below(4, 1)[0]), spec.get("maxItems", least + 3))
    key = spec.get("x-unique-by")
    listed = item["properties"][key].get("enum") if key else item.get("enum")
    if not listed or not (key or spec.get("uniqueItems")):
        return [_value(item, dice) for _ in range(count)]
    chosen = [listed[i] for i in dice.order(len(listed))[:count]]
    return [{**_record(item, dice), key: value} for value in chosen] if key else chosen


# --- columns, where no requirement is known -----------------------------------------------------------------------


def _by_columns(manifest: Manifest) -> People:
    """A field of one column is a number or, every second one, a yes or no; of several, a list of values."""
    spans = _spans(_even(manifest.width_in, len(manifest.inputs)))
    blocks = tuple((b.at, b.at + b.columns) for b in (manifest.layers[0].blocks if manifest.layers else ()))
    listed = [*blocks, *(s for s in spans if s[1] - s[0] > 1 and not _overlap(s, blocks))]

    def draw(dice: Dice, count: int) -> tuple[Floats, Floats]:
        x = dice.uniform(count, manifest.width_in) * 2 - 1
        for number, (start, _) in enumerate(spans):
            if number % 2:
                x[:, start] = dice.uniform(count) < TRUE
        for start, end in listed:
            x[:, start:end] = np.eye(end - start)[dice.ranked(end - start, count)]
        return x.astype(np.float32), _answers(manifest, dice, count)

    targets = _of_targets(
        manifest, _even(manifest.width_out, len(manifest.target)) if manifest.target else []
    )
    return People(source="columns", spans=spans, target_spans=targets, draw=draw)


def _answers(manifest: Manifest, dice: Dice, count: int) -> Floats:
    if not manifest.layers:
        return np.zeros((count, 0), np.float32)
    if manifest.loss == "softmax-cross-entropy":
        return dice.ranked(manifest.width_out, count, 1).astype(np.float32)
    drawn = dice.uniform(count, manifest.width_out)
    return (drawn < 0.4 if manifest.loss == "bce-with-logits" else drawn).astype(np.float32)


def _of_targets(manifest: Manifest, widths: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Classes are one column whatever their number."""
    return ((0, 1),) if manifest.loss == "softmax-cross-entropy" else _spans(widths)


def _even(width: int, fields: int) -> list[int]:
    """Columns of each field when only their number is known; more fields than columns share the last ones."""
    return [width * (i + 1) // fields - width * i // fields for i in range(fields)]


def _spans(widths: Sequence[int]) -> tuple[tuple[int, int], ...]:
    ends = np.cumsum(widths)
    return tuple((int(end - width), int(end)) for width, end in zip(widths, ends, strict=True) if width)


def _overlap(span: tuple[int, int], blocks: Sequence[tuple[int, int]]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in blocks)
