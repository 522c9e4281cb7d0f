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
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collectives.terms.algorithm import Manifest
from collectives.terms.errors import TermsError

Floats = NDArray[np.float32]
Column = Callable[[Any], list[float]]


class Encoder:
    """Encodes records for one (requirement, manifest).

    Raises:
        TermsError: `wrong_fields`, when the manifest names a field that the requirement does not have, or its widths do not
            fit the fields.
    """

    def __init__(self, requirement: Mapping[str, Any], manifest: Manifest) -> None:
        self._inputs = [_input(requirement, name) for name in manifest.inputs]
        self._targets = [_target(requirement, name) for name in manifest.target]
        self._input_names, self._target_names = manifest.inputs, manifest.target
        for said, found, what in (
            (manifest.width_in, sum(width for width, _ in self._inputs), "width_in"),
            (manifest.width_out, _target_width(manifest, self._targets), "width_out"),
        ):
            if said != found:
                raise TermsError("wrong_fields", f"The manifest says {what} {said}; its fields give {found}.")
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

    def encode_many(self, records: Sequence[Mapping[str, Any]]) -> tuple[Floats, Floats]:
        """(x [n, width_in], y [n, …])."""
        rows = [self.encode(record) for record in records]
        return np.stack([x for x, _ in rows]), np.stack([y for _, y in rows])


def input_width(requirement: Mapping[str, Any], names: Sequence[str]) -> int:
    """Columns that these fields give as inputs."""
    return sum(_input(requirement, name)[0] for name in names)


def target_width(requirement: Mapping[str, Any], names: Sequence[str]) -> int:
    return sum(_target(requirement, name)[0] for name in names)


def _target_width(manifest: Manifest, targets: Sequence[tuple[int, Column]]) -> int:
    return sum(width for width, _ in targets)


def _spec(requirement: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    spec = requirement["properties"].get(name)
    if spec is None:
        raise TermsError("wrong_fields", f"The requirement has no field {name}.")
    found: Mapping[str, Any] = spec
    return found


def _input(requirement: Mapping[str, Any], name: str) -> tuple[int, Column]:
    spec = _spec(requirement, name)
    width, column = _columns(spec, name, low=-1.0)
    if name in requirement.get("required", ()):
        return width, column
    absent = [0.0] * width + [1.0]
    return width + 1, lambda value: absent if value is None else [*column(value), 0.0]


def _target(requirement: Mapping[str, Any], name: str) -> tuple[int, Column]:
    spec = _spec(requirement, name)
    if name not in requirement.get("required", ()):
        raise TermsError("wrong_fields", f"The target {name} must be a required field.")
    return _columns({**spec, "x-feature": {**spec.get("x-feature", {}), "bins": []}}, name, low=0.0)


def _columns(spec: Mapping[str, Any], name: str, low: float) -> tuple[int, Column]:
    feature = spec.get("x-feature") or {}
    match feature.get("encode"):
        case "number":
            return _number(spec, feature, name, low)
        case "boolean":
            return 1, lambda value: [1.0 if value else 0.0]
        case "one-hot":
            return _one_hot(spec["enum"], feature.get("unlisted_to"))
        case "multi-hot":
            return _multi_hot(spec["items"]["enum"])
        case "mean-of-measurements":
            return _measurements(spec, feature, low)
    raise TermsError("wrong_fields", f"The field {name} says no way (x-feature) to become numbers.")


def _scale(least: float, most: float, *, bottom: float, log: bool) -> Callable[[float], float]:
    """x -> [bottom, 1] over the public range; a range of one point gives the bottom."""
    t = math.log1p if log else float
    start, span = t(least), (t(most) - t(least)) or 1.0
    return lambda x: bottom + (1.0 - bottom) * (t(min(max(float(x), least), most)) - start) / span


def _number(spec: Mapping[str, Any], feature: Mapping[str, Any], name: str, low: float) -> tuple[int, Column]:
    if "minimum" not in spec or "maximum" not in spec:
        raise TermsError("wrong_fields", f"The number {name} needs a public minimum and maximum.")
    log = feature.get("transform") == "log1p"
    scale = _scale(spec["minimum"], spec["maximum"], bottom=low, log=log)
    edges = list(feature.get("bins") or ())
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


def _measurements(spec: Mapping[str, Any], feature: Mapping[str, Any], low: float) -> tuple[int, Column]:
    item = spec["items"]["properties"]
    name, value = feature.get("name", "name"), feature.get("value", "measurements")
    number = item[value]["items"]
    scale = _scale(number["minimum"], number["maximum"], bottom=low, log=False)
    names = item[name]["enum"]

    def means(entries: Any) -> list[float | None]:
        found = {entry[name]: sum(entry[value]) / len(entry[value]) for entry in entries if entry[value]}
        return [scale(found[n]) if n in found else None for n in names]

    if low == 0.0:  # a target: "not there" and "none of it" are the same answer
        return len(names), lambda entries: [mean or 0.0 for mean in means(entries)]
    return 2 * len(names), lambda entries: [
        part for mean in means(entries) for part in ((0.0, 0.0) if mean is None else (mean, 1.0))
    ]
