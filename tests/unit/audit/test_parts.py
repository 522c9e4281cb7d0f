"""Scores and verdicts follow from figures; a report is one document whose hash does not depend on the clock."""

from __future__ import annotations

import math

import pytest

from collectives.audit.bad import PLAIN
from collectives.audit.parts import Curve, Figure, Part, rounded
from collectives.audit.run import PARTS, audit
from collectives.audit.subject import subject
from collectives.terms.canonical import digest


@pytest.mark.parametrize(
    ("value", "score", "holds"),
    [(0.5, 100, True), (0.4, 100, True), (0.6, 50, True), (0.7, 0, False), (9.0, 0, False)],
)
def test_a_score_is_a_hundred_at_guessing_and_fifty_at_the_limit(
    value: float, score: int, holds: bool
) -> None:
    figure = Figure(name="right choices", value=value, limit=0.6, guess=0.5)
    assert (round(figure.score), figure.holds) == (score, holds)


def test_what_is_only_told_decides_nothing() -> None:
    part = Part(name="x", title="X", sentence="", figures=(Figure(name="told", value=1e9),))
    assert part.holds and not part.judged and part.score == 100


def test_a_part_is_as_bad_as_its_worst_figure_and_says_which() -> None:
    figures = (Figure(name="good", value=0.0, limit=1.0), Figure(name="bad", value=2.0, limit=1.0))
    part = Part(name="x", title="X", sentence="", figures=figures)
    assert part.score == 0 and not part.holds
    assert part.why() == ["bad is 2, above 1"]
    assert Part(name="x", title="X", sentence="", problems=("It breaks.",)).why() == ["It breaks."]


def test_figures_are_kept_with_four_digits_and_finite() -> None:
    assert [rounded(v) for v in (0.123456, 12345.6, math.inf, -math.inf, math.nan)] == [
        *(0.1235, 12350.0, 1e6, -1e6, 1e6),
    ]
    curve = Curve(title="t", x_label="x", labels=(1.0,), series=(("s", (math.inf,)),))
    assert curve.to_json()["series"] == [{"name": "s", "values": [1e6]}]


def test_the_same_subject_gives_the_same_document() -> None:
    seen: list[tuple[str, int, int]] = []
    made = [
        audit(
            subject(PLAIN),
            only=("canaries", "ratio"),
            command="again",
            progress=lambda name, done, of: seen.append((name, done, of)),
        ).to_json()
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert seen[:3] == [("ratio", 0, 2), ("canaries", 1, 2), ("", 2, 2)]
    document = dict(made[0])
    ident = document.pop("report_hash")
    assert ident == digest(document).hex()
    assert document["manifest_hash"] == subject(PLAIN).manifest.hash
    assert [part["name"] for part in document["parts"]] == ["ratio", "canaries"]
    assert set(PARTS) > {"ratio", "canaries"}


def test_dice_depend_on_manifest_and_conditions() -> None:
    one, other = subject(PLAIN), subject(PLAIN | {"name": "Another name"})
    quiet = one.under(one.conditions.quiet())
    assert len({s.label for s in (one, other, quiet)}) == 3
    assert one.dice("a").uniform(3).tolist() == one.dice("a").uniform(3).tolist()
    assert one.dice("a").uniform(3).tolist() != one.dice("b").uniform(3).tolist()
