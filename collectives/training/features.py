"""From a record to numbers, by the requirement's public constants alone: nothing is fitted on anybody's data.

Each field's `x-feature.encode` decides its columns, in the order of the manifest's fields:

* `number`: one column, t(x) scaled from [t(minimum), t(maximum)] to [−1, 1], t = identity or log1p; with `bins` also a one-hot of
  len(bins) + 1 columns (bin k: edge k−1 ≤ x < edge k).
* `boolean`: one column, 0 or 1. `one-hot`: a column per listed value; `unlisted_to` names the value that stands for others.
* `multi-hot`: a column per listed value of the items' enum.
* `mean-of-measurements`: items {name, measurements}; per listed name the mean measurement scaled to [−1, 1], and a column that
  is 1 when it is there. An entry without a measurement counts as not there.

A field that may be absent has one more column, 1 when it is absent; its other columns are then 0. Targets use the same
encodings without that column, numbers scaled to [0, 1]; measurements give one column per listed name there, the mean scaled to
[0, 1] and 0 when it is not there.

A manifest's `task` may choose another range, scale, bins or combination of measurements for itself (see
`collectives.terms.algorithm.task`); everything else is as the requirement says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collectives.terms.algorithm import Manifest, Preparation
from collectives.terms.errors import TermsError

Floats = NDArray[np.float32]
Column = Callable[[Any], list[float]]
AS_REQUIRED = Preparation()
_COMBINED: Mapping[str, Callable[[Sequence[float]], float]] = {
    "mean": lambda values: sum(values) / len(values),
    "median": median,
    "minimum": min,
    "maximum": max,
    "last": lambda values: values[-1],
}


class Encoder:
    """Encodes records for one (requirement, manifest).

    Raises:
        TermsError: `wrong_fields`, when the manifest names a field that the requirement does not have, or its widths do not
            fit the fields.
    """

    def __init__(self, requirement: Mapping[str, Any], manifest: Manifest) -> None:
        task = manifest.task
        self._inputs = [_input(requirement, name, task.get(name, AS_REQUIRED)) for name in manifest.inputs]
        self._targets = [_target(requirement, name, task.get(name, AS_REQUIRED)) for name in manifest.target]
        self._input_names, self._target_names = manifest.inputs, manifest.target
        for said, found, what in (
            (manifest.width_in, sum(width for width, _ in self._inputs), "width_in"),
            (manifest.width_out, sum(width for width, _ in self._targets), "width_out"),
        ):
            if said != found:
                raise TermsError(
                    "wrong_fields",
                    "The manifest says %(what)s %(said)s; its fields give %(found)s.",
                    what=what,
                    said=said,
                    found=found,
                )
        self._check_blocks(requirement, manifest)
        self._classes = manifest.loss == "softmax-cross-entropy"

    def encode(self, record: Mapping[str, Any]) -> tuple[Floats, Floats]:
        """(x [width_in], y [width_out or 1 for classes]) of one record that meets the requirement."""
        x = [
            value
            for name, (_, column) in zip(self._input_names, self._inputs, strict=True)
            for value in column(record.get(name))
        ]
        y = [
            value
            for name, (_, column) in zip(self._target_names, self._targets, strict=True)
            for value in column(record[name])
        ]
        if self._classes:
            y = [float(np.argmax(y))]
        return np.array(x, dtype=np.float32), np.array(y, dtype=np.float32)

    def _check_blocks(self, requirement: Mapping[str, Any], manifest: Manifest) -> None:
        """An embedding's blocks are the columns of whole fields of listed values."""
        spans, at = set(), 0
        for name, (width, _) in zip(manifest.inputs, self._inputs, strict=True):
            if encoding(requirement, name) in ("one-hot", "multi-hot"):
                spans.add((at, width))
            at += width
        for block in manifest.layers[0].blocks if manifest.layers else ():
            if (block.at, block.columns) not in spans:
                raise TermsError(
                    "wrong_fields",
                    "The embedding's block at column %(at)s is not one field of listed values.",
                    at=block.at,
                )

    def encode_many(self, records: Sequence[Mapping[str, Any]]) -> tuple[Floats, Floats]:
        """(x [n, width_in], y [n, …])."""
        rows = [self.encode(record) for record in records]
        return np.stack([x for x, _ in rows]), np.stack([y for _, y in rows])


def input_width(requirement: Mapping[str, Any], names: Sequence[str]) -> int:
    """Columns that these fields give as inputs."""
    return sum(input_widths(requirement, names))


def input_widths(requirement: Mapping[str, Any], names: Sequence[str]) -> list[int]:
    """Columns that each of these fields gives as an input."""
    return [_input(requirement, name, AS_REQUIRED)[0] for name in names]


def encoding(requirement: Mapping[str, Any], name: str) -> str:
    """How a field becomes numbers, by the requirement; empty when it says no way."""
    return str(_feature(requirement, name).get("encode", ""))


def target_width(requirement: Mapping[str, Any], names: Sequence[str]) -> int:
    return sum(_target(requirement, name, AS_REQUIRED)[0] for name in names)


def _spec(requirement: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    spec = requirement["properties"].get(name)
    if spec is None:
        raise TermsError("wrong_fields", "The requirement has no field %(name)s.", name=name)
    found: Mapping[str, Any] = spec
    return found


def _feature(requirement: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _spec(requirement, name).get("x-feature") or {}
    return found


def _input(requirement: Mapping[str, Any], name: str, task: Preparation) -> tuple[int, Column]:
    width, column = _columns(_spec(requirement, name), name, -1.0, task)
    if name in requirement.get("required", ()):
        return width, column
    absent = [0.0] * width + [1.0]
    return width + 1, lambda value: absent if value is None else [*column(value), 0.0]


def _target(requirement: Mapping[str, Any], name: str, task: Preparation) -> tuple[int, Column]:
    spec = _spec(requirement, name)
    if name not in requirement.get("required", ()):
        raise TermsError("wrong_fields", "The target %(name)s must be a required field.", name=name)
    if task.bins_micro:
        raise TermsError("wrong_fields", "The target %(name)s cannot be put into bins.", name=name)
    return _columns({**spec, "x-feature": {**spec.get("x-feature", {}), "bins": []}}, name, 0.0, task)


def _columns(spec: Mapping[str, Any], name: str, low: float, task: Preparation) -> tuple[int, Column]:
    feature = spec.get("x-feature") or {}
    encode = feature.get("encode")
    if encode == "number":
        _only(task, ("scale", "low_micro", "high_micro", "bins_micro"), name)
        return _number(spec, feature, name, low, task)
    if encode == "mean-of-measurements":
        _only(task, ("combine", "scale", "low_micro", "high_micro"), name)
        return _measurements(spec, feature, low, task)
    _only(task, (), name)
    match encode:
        case "boolean":
            return 1, lambda value: [1.0 if value else 0.0]
        case "one-hot":
            return _one_hot(spec["enum"], feature.get("unlisted_to"))
        case "multi-hot":
            return _multi_hot(spec["items"]["enum"])
    raise TermsError(
        "wrong_fields", "The field %(name)s says no way (x-feature) to become numbers.", name=name
    )


def _only(task: Preparation, allowed: Sequence[str], name: str) -> None:
    for word, said in vars(task).items():
        if said is not None and word not in allowed:
            raise TermsError(
                "wrong_fields",
                "The task of %(name)s says %(word)s, which this kind of field lacks.",
                name=name,
                word=word,
            )


def _range(spec: Mapping[str, Any], task: Preparation, name: str) -> tuple[float, float]:
    """The public range: the task's ends where it names them, else the requirement's."""
    least = spec.get("minimum") if task.low_micro is None else task.low_micro / 1e6
    most = spec.get("maximum") if task.high_micro is None else task.high_micro / 1e6
    if least is None or most is None:
        raise TermsError("wrong_fields", "The number %(name)s needs a public minimum and maximum.", name=name)
    if least > most:
        raise TermsError("wrong_fields", "The range of %(name)s is empty.", name=name)
    return float(least), float(most)


def _checked_scale(
    spec: Mapping[str, Any], task: Preparation, name: str, *, bottom: float, log: bool
) -> Callable[[float], float]:
    least, most = _range(spec, task, name)
    if log and least <= -1:
        raise TermsError("wrong_fields", "log1p of %(name)s needs a range above -1.", name=name)
    return _scale(least, most, bottom=bottom, log=log)


def _scale(least: float, most: float, *, bottom: float, log: bool) -> Callable[[float], float]:
    """x -> [bottom, 1] over the public range; a range of one point gives the bottom."""
    t = math.log1p if log else float
    start, span = t(least), (t(most) - t(least)) or 1.0
    return lambda x: bottom + (1.0 - bottom) * (t(min(max(float(x), least), most)) - start) / span


def _number(
    spec: Mapping[str, Any], feature: Mapping[str, Any], name: str, low: float, task: Preparation
) -> tuple[int, Column]:
    log = (task.scale or feature.get("transform")) == "log1p"
    scale = _checked_scale(spec, task, name, bottom=low, log=log)
    edges = [edge / 1e6 for edge in task.bins_micro or ()] or list(feature.get("bins") or ())
    if not edges:
        return 1, lambda value: [scale(value)]

    def column(value: Any) -> list[float]:
        hot = [0.0] * (len(edges) + 1)
        hot[int(np.searchsorted(edges, value, side="right"))] = 1.0
        return [scale(value), *hot]

    return len(edges) + 2, column


def _one_hot(values: Sequence[Any], unlisted_to: Any) -> tuple[int, Column]:
    place = {value: i for i, value in enumerate(values)}

    def column(value: Any) -> list[float]:
        hot = [0.0] * len(place)
        hot[place[value if value in place else unlisted_to]] = 1.0
        return hot

    return len(place), column


def _multi_hot(values: Sequence[Any]) -> tuple[int, Column]:
    return len(values), lambda chosen: [1.0 if value in chosen else 0.0 for value in values]


def _measurements(
    spec: Mapping[str, Any], feature: Mapping[str, Any], low: float, task: Preparation
) -> tuple[int, Column]:
    item = spec["items"]["properties"]
    name, value = feature.get("name", "name"), feature.get("value", "measurements")
    scale = _checked_scale(item[value]["items"], task, name, bottom=low, log=task.scale == "log1p")
    names, combined = item[name]["enum"], _COMBINED[task.combine or "mean"]

    def found(entries: Any) -> list[float | None]:
        known = {entry[name]: combined(entry[value]) for entry in entries if entry[value]}
        return [scale(known[n]) if n in known else None for n in names]

    if low == 0.0:  # a target: "not there" and "none of it" are the same answer
        return len(names), lambda entries: [one or 0.0 for one in found(entries)]
    return 2 * len(names), lambda entries: [
        part for one in found(entries) for part in ((0.0, 0.0) if one is None else (one, 1.0))
    ]
