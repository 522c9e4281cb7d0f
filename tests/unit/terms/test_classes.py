"""The class of algorithms that terms admit: what is inside, what is outside and why, and the words a holder reads."""

from __future__ import annotations

from typing import Any

import pytest

from collectives.terms import classes
from collectives.terms.algorithm import parameter_count, parse_manifest
from collectives.terms.errors import TermsError
from tests.unit.agent.documents import MANIFEST

PARSED = parse_manifest(MANIFEST)
WIDE: dict[str, Any] = {"purpose": "Learn who is ill.", "max_parameters": 1000}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"max_parameters": parameter_count(PARSED)}, ""),
        ({"max_parameters": parameter_count(PARSED) - 1}, "parameters; the class admits at most"),
        ({"inputs": list(PARSED.inputs)}, ""),
        ({"inputs": list(PARSED.inputs)[:-1]}, f"It reads {PARSED.inputs[-1]}, which the class does not."),
        ({"target": ["other"]}, f"It predicts {PARSED.target[0]}, which the class does not."),
        ({"target": [*PARSED.target, "other"]}, ""),
        ({"outputs": [PARSED.output.kind]}, ""),
        (
            {"outputs": ["mean", "histogram"]},
            f"It sends back {PARSED.output.kind}; the class admits mean, histogram.",
        ),
    ],
)
def test_inside_or_outside_and_why(changes: dict[str, Any], words: str) -> None:
    said = classes.outside(classes.parse(WIDE | changes), PARSED)
    assert (words in said) if words else said == ""


def test_no_class_admits_everything() -> None:
    assert classes.parse(None) is None
    assert classes.outside(None, PARSED) == ""
    assert classes.words(None) == []


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        "small",
        WIDE | {"purpose": ""},
        WIDE | {"purpose": "in\u202evisible"},
        WIDE | {"max_parameters": 0},
        WIDE | {"max_parameters": 2_000_001},
        WIDE | {"inputs": []},
        WIDE | {"inputs": ["a", "a"]},
        WIDE | {"inputs": "a"},
        WIDE | {"target": [1]},
        WIDE | {"outputs": ["everything"]},
        WIDE | {"layers": 3},
    ],
)
def test_what_is_no_class_is_refused(value: Any) -> None:
    with pytest.raises(TermsError):
        classes.parse(value)


def test_the_words_name_every_bound() -> None:
    (said,) = classes.words(WIDE | {"max_parameters": 50_000, "inputs": ["a", "b"], "outputs": ["mean"]})
    assert said == (
        "New algorithms must be of this class: Learn who is ill. They have at most 50,000 parameters, read only a, b, "
        "send back only mean. Your wallet refuses any other."
    )
