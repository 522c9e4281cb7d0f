"""Bounds: what they say is true of mechanisms whose privacy is known, and tight enough to find half of the noise missing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from collectives.audit import bounds
from collectives.audit.dice import Dice

DELTA, DOUBT = 1e-6, 1e-3


def test_the_interval_of_a_share_is_clopper_and_pearsons() -> None:
    # Their 1934 table for 10 trials, 95 % two-sided: 1 hit gives 0.0025 to 0.4450.
    assert bounds.upper_share(1, 10, 0.025) == pytest.approx(0.4450, abs=5e-5)
    assert 1 - bounds.upper_share(9, 10, 0.025) == pytest.approx(0.0025, abs=5e-5)  # 9 misses
    assert bounds.upper_share(0, 100, 0.05) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert bounds.upper_share(5, 5, 0.05) == 1.0


def test_epsilon_of_a_gaussian_is_the_accountants() -> None:
    # docs/privacy.md: one visit at σ = Δ, and twenty of them.
    assert bounds.epsilon_of_mu(1.0, DELTA) == pytest.approx(4.89, abs=0.005)
    assert bounds.epsilon_of_mu(math.sqrt(20), DELTA) == pytest.approx(30.58, abs=0.02)
    assert bounds.mu_of_epsilon(bounds.epsilon_of_mu(1.3, DELTA), DELTA) == pytest.approx(1.3, rel=1e-6)


def test_without_noise_or_trials_nothing_is_made_up() -> None:
    assert bounds.epsilon_of_mu(0.0, DELTA) == 0.0
    assert bounds.least_mu(0, 0, 0, 0, DOUBT) == 0.0
    assert bounds.one_run_epsilon(5, 10, 10, delta=DELTA, doubt=DOUBT) == 0.0


def _game(mu: float, people: int, label: str) -> tuple[np.ndarray, np.ndarray]:
    drawn = Dice(label).normal(people)
    return drawn[: people // 2] + mu, drawn[people // 2 :]


@pytest.mark.parametrize("mu", [0.5, 1.0, 2.0])
def test_a_bound_stays_below_the_truth_and_finds_twice_as_much(mu: float) -> None:
    for truth, finds in ((mu, False), (2 * mu, True)):
        inside, outside = _game(truth, 4000, f"game {truth}")
        least = bounds.least_mu(
            int((outside > truth / 2).sum()), 2000, int((inside <= truth / 2).sum()), 2000, DOUBT
        )
        assert least <= truth
        assert (least > 1.02 * mu) is finds


def test_one_run_refutes_no_epsilon_that_holds() -> None:
    """Randomised response is (ε, 0)-private and each guess right with e^ε/(1 + e^ε), which is the theorem's worst case."""
    eps, people = 1.5, 2000
    right = int((Dice("response").uniform(people) < 1 / (1 + math.exp(-eps))).sum())
    found = bounds.one_run_epsilon(right, people, people, delta=0.0, doubt=DOUBT)
    assert 1.2 < found <= eps
    assert bounds.one_run_epsilon(people, people, people, delta=0.0, doubt=DOUBT) == pytest.approx(
        # All right: q^m = doubt.
        -math.log(DOUBT ** (-1 / people) - 1),
        rel=1e-3,
    )


def test_delta_weakens_a_bound_from_one_run() -> None:
    without, with_it = (
        bounds.one_run_epsilon(95, 100, 4000, delta=delta, doubt=DOUBT) for delta in (0.0, 1e-7)
    )
    assert 0 < with_it < without


def test_scores_of_two_groups_are_told_apart_as_often_as_theory_says() -> None:
    inside, outside = _game(1.0, 40_000, "auc")
    assert bounds.auc(inside, outside) == pytest.approx(0.7602, abs=0.01)  # Φ(1/√2)
    assert bounds.found_at(inside, outside) == pytest.approx(0.0924, abs=0.02)  # Φ(1 − 2.326)
    assert bounds.auc(np.zeros(3), np.zeros(4)) == 0.5
    assert bounds.auc(np.array([2.0]), np.array([1.0, 3.0])) == 0.5
