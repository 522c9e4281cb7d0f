"""The published columns of every encoding, replayed from the JSON alone with plain arithmetic beside the encoder."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from collectives.terms.requirements import requirement_hash, validate
from collectives.training.features import input_width, target_width
from tests.vectors import generate

CASES = json.loads((Path(generate.__file__).parent / "features.json").read_text("utf-8"))["cases"]


def test_the_file_is_what_the_command_writes() -> None:
    written = (Path(generate.__file__).parent / "features.json").read_text("utf-8")

    assert written == generate.rendered("features"), "run python -m tests.vectors.generate"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_case_is_a_valid_record_of_its_requirement(case: dict[str, Any]) -> None:
    assert validate(case["requirement"], case["record"]) == []
    assert requirement_hash(case["requirement"]) == case["requirement_id"]
    assert len(case["x"]) == input_width(case["requirement"], case["inputs"])
    assert len(case["y"]) == target_width(case["requirement"], case["target"])


def _x(name: str) -> list[float]:
    return next(case["x"] for case in CASES if case["name"] == name)


def test_the_numbers_are_those_of_the_documentation() -> None:
    """Each expectation is worked out by hand from the text of `collectives.training.features`."""
    assert _x("number at 18") == [-1.0]
    assert _x("number at 98") == [1.0]
    assert _x("number at 41") == pytest.approx([2 * (41 - 18) / 80 - 1])
    assert _x("log1p with bins at 0") == [-1.0, 1.0, 0.0, 0.0, 0.0]
    assert _x("log1p with bins at 4999.5") == pytest.approx(
        [2 * math.log1p(4999.5) / math.log1p(99_999) - 1, 0.0, 1.0, 0.0, 0.0]
    )
    assert _x("log1p with bins at 5000")[1:] == [0.0, 0.0, 1.0, 0.0]
    assert _x("one-hot elsewhere") == [0.0, 0.0, 1.0]
    assert _x("multi-hot") == [0.0, 1.0, 0.0, 1.0]
    assert _x("absent number") == [0.0, 1.0]
    assert _x("present number that may be absent") == [0.0, 0.0]
    assert _x("absent one-hot") == [0.0, 0.0, 0.0, 1.0]
    # per listed name the mean scaled to [−1, 1] and a flag; planning has no measurement and counts as not there
    assert _x("measurements") == pytest.approx([0.0, 0.0, 0.0, 0.0, 2 * 8.5 / 10 - 1, 1.0])
