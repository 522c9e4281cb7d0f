"""Payments do not say who took part in a round; without the rules they say exactly that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aggregation.epochs import Rules
from tests.simulation.observer import COHORT, LOT, STRATEGIES, Scene, naive, play, precision, separation

RULES = Rules(lot=LOT, min_recipients=100, min_collectives=3)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return play(collectives=10, rounds_of_others=10, rules=RULES, seed=1)


def test_the_scene_is_the_seeds_worst_case(scene: Scene) -> None:
    assert len(scene.members) == COHORT
    assert any(holder in scene.members for holder, _ in scene.statement.payouts), "there is something to find"
    assert len(scene.statement.payouts) > 1_000


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_with_ten_collectives_an_observer_is_right_in_at_most_5_of_100(scene: Scene, strategy: str) -> None:
    found = precision(scene, STRATEGIES[strategy], seed=2)
    print(f"{strategy}: precision {found:.3f}")

    assert found <= 0.05


def test_amounts_say_next_to_nothing(scene: Scene) -> None:
    found = separation(scene)
    print(f"separation of amounts {found:.2f} over {len(scene.statement.payouts)} payouts")

    assert 0.4 <= found <= 0.6


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_paid_by_itself_a_round_is_known_completely(scene: Scene, strategy: str) -> None:
    open_book = replace(scene, statement=naive(scene), before={})

    assert precision(open_book, STRATEGIES[strategy], seed=2) == 1.0


def test_alone_in_an_epoch_a_collective_is_not_paid_out_but_held_over() -> None:
    alone = play(collectives=1, rounds_of_others=0, rules=RULES, seed=3)
    exposed = play(
        collectives=1, rounds_of_others=0, rules=replace(RULES, min_recipients=1, min_collectives=1), seed=3
    )

    assert alone.statement.payouts == ()
    assert alone.statement.held_over > 0
    assert precision(alone, STRATEGIES["anybody who is paid"], seed=2) == 0.0
    assert precision(exposed, STRATEGIES["anybody who is paid"], seed=2) == 1.0, "why the minimum is there"
