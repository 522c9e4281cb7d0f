"""How an algorithm wants values combined and scaled, and which columns an embedding may read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from collectives.terms.algorithm import stack
from collectives.terms.errors import TermsError
from collectives.training.features import Encoder, input_width, input_widths
from tests.unit.training.test_training import RECORD, REQUIREMENT, manifest


def encoded(record: dict[str, Any], width: int, inputs: list[str], **changes: Any) -> list[float]:
    m = manifest(width, stack([1]), inputs=inputs, **changes)
    return Encoder(REQUIREMENT, m).encode(RECORD | record)[0].tolist()


def test_a_range_and_bins_of_its_own() -> None:
    task = {"n": {"low_micro": 0, "high_micro": 8_000_000, "bins_micro": [4_000_000, 6_000_000]}}

    assert encoded({"n": 4}, 4, ["n"], task=task) == [0.0, 0.0, 1.0, 0.0]
    assert encoded({"n": 10}, 4, ["n"], task=task) == [1.0, 0.0, 0.0, 1.0]


def test_a_scale_of_its_own_overrides_the_requirements() -> None:
    assert encoded({"log": 49.5}, 1, ["log"], task={"log": {"scale": "linear"}}) == [0.0]
    assert encoded({"n": 0}, 1, ["n"], task={"n": {"scale": "log1p"}}) == [-1.0]
    assert encoded({"n": 5}, 1, ["n"], task={"n": {"scale": "log1p"}})[0] == pytest.approx(
        2 * np.log(6) / np.log(11) - 1
    )


@pytest.mark.parametrize(
    ("combine", "expected"), [("mean", 5), ("median", 4), ("minimum", 2), ("maximum", 9), ("last", 9)]
)
def test_how_measurements_combine(combine: str, expected: float) -> None:
    m = manifest(1, stack([2]), 2, inputs=["n"], target=["skills"], task={"skills": {"combine": combine}})
    record = RECORD | {"skills": [{"name": "s", "measurements": [4, 2, 9]}]}

    y = Encoder(REQUIREMENT, m).encode(record)[1]

    np.testing.assert_allclose(y, [expected / 10, 0])


@pytest.mark.parametrize(
    ("inputs", "task"),
    [
        (["n"], {"n": {"combine": "mean"}}),
        (["kind"], {"kind": {"scale": "log1p"}}),
        (["n"], {"n": {"scale": "log1p", "low_micro": -2_000_000}}),
        (["n"], {"n": {"low_micro": 11_000_000}}),
        (["n"], {"b": {"scale": "linear"}}),
        (["skills"], {"skills": {"bins_micro": [1]}}),
    ],
)
def test_a_task_that_does_not_fit_its_field_is_refused(inputs: list[str], task: dict[str, Any]) -> None:
    m = manifest(input_width(REQUIREMENT, inputs), stack([1]), inputs=inputs, task=task)
    with pytest.raises(TermsError) as raised:
        Encoder(REQUIREMENT, m)
    assert raised.value.code == "wrong_fields"


def test_a_target_has_no_bins() -> None:
    m = manifest(1, stack([1]), inputs=["yes"], target=["n"], task={"n": {"bins_micro": [1]}})
    with pytest.raises(TermsError, match="cannot be put into bins"):
        Encoder(REQUIREMENT, m)


@pytest.mark.parametrize(
    ("block", "fits"),
    [
        ({"at": 1, "columns": 3, "out": 2}, True),
        ({"at": 4, "columns": 3, "out": 2}, True),
        ({"at": 0, "columns": 1, "out": 1}, False),
        ({"at": 1, "columns": 2, "out": 2}, False),
        ({"at": 1, "columns": 6, "out": 2}, False),
    ],
)
def test_an_embeddings_blocks_are_whole_fields_of_listed_values(block: dict[str, int], fits: bool) -> None:
    inputs = ["n", "kind", "likes"]
    assert input_widths(REQUIREMENT, inputs) == [1, 3, 3]
    m = manifest(7, [{"op": "embedding", "blocks": [block]}, *stack([1])], inputs=inputs)
    if fits:
        x, _ = Encoder(REQUIREMENT, m).encode(RECORD)
        assert x.shape == (7,)
        return
    with pytest.raises(TermsError, match="not one field of listed values"):
        Encoder(REQUIREMENT, m)
