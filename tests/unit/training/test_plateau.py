"""Stopping at the plateau: not before two windows, not through noise, not while it still pays."""

from __future__ import annotations

import pytest

from collectives.training.plateau import Evaluation, Rule, reached


def history(*losses: float, error: float = 0.0) -> list[Evaluation]:
    return [Evaluation(loss=loss, error=error) for loss in losses]


@pytest.mark.parametrize(
    "losses, error, expected",
    [
        ((0.5, 0.4), 0.0, False),
        ((0.5, 0.4, 0.3), 0.0, False),
        ((0.5, 0.4, 0.3, 0.29), 0.0, False),
        ((0.3, 0.3, 0.299, 0.299), 0.0, True),
        ((0.3, 0.3, 0.31, 0.32), 0.0, True),
        ((0.5, 0.4, 0.3, 0.29), 0.3, True),
        ((0.9, 0.8, 0.5, 0.4, 0.3, 0.3, 0.3, 0.3), 0.001, True),
    ],
)
def test_the_rule(losses: tuple[float, ...], error: float, expected: bool) -> None:
    assert reached(history(*losses, error=error), Rule(window=2, least=0.01)) is expected


def test_a_rule_without_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="window"):
        Rule(window=0)
