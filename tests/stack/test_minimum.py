"""Below the minimum cohort nothing is revealed: a shortfall before delivery is free, receipts already signed are paid."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stack.small import COHORT, RATE, RELEASE_MIN, WALLETS, SmallStack, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(280)]


def test_a_shortfall_before_delivery_costs_nothing(small_stack: SmallStack) -> None:
    """One good round; then most wallets are switched off, and the next round finds too few."""
    before = int(small_stack.inside.balance())
    visits, paid = small_stack.visits(), small_stack.paid()
    job = small_stack.order(budget=100 * RATE, max_rounds=50)
    small_stack.until_round(job, 1, "posted")
    assert small_stack.carla.post(f"/jobs/{job}/pause/").status_code == 200
    until(lambda: small_stack.job(job)["status"] == "paused", seconds=60, what="the pause")
    done = small_stack.job(job)
    away = range(RELEASE_MIN - 1, WALLETS)
    try:
        for number in away:
            small_stack.hosts.call(number, "disconnect")
        assert small_stack.carla.post(f"/jobs/{job}/resume/").status_code == 200
        short = done["rounds"][-1]["number"] + 1
        told = small_stack.until_round(job, short, "abandoned")
        small_stack.carla.api(f"jobs/{job}/stop")
        told = small_stack.until_closed(job)
    finally:
        small_stack.connect(*away)
    row = told["rounds"][short - 1]
    assert (row["delivered"], row["receipts"], row["survivors"]) == (0, 0, 0)
    assert "nothing was charged" in row["reason"]
    assert f"{RELEASE_MIN} are needed" in row["reason"]
    assert told["earned"] == done["earned"] == _gained(small_stack.visits(), visits)
    assert [c["number"] for c in told["checkpoints"]] == [c["number"] for c in done["checkpoints"]]
    assert _gained(small_stack.paid(), paid) == told["earned"] * RATE
    assert int(small_stack.inside.balance()) == before - told["earned"] * RATE


def test_receipts_of_a_round_that_falls_below_the_minimum_are_paid_and_nothing_is_revealed(
    small_stack: SmallStack,
) -> None:
    before = int(small_stack.inside.balance())
    visits, paid = small_stack.visits(), small_stack.paid()
    # Whoever is drawn: of a cohort of eight at most four are left after their receipts.
    dying = list(range(WALLETS))
    small_stack.hosts.all[0].call(
        "fault",
        round=1,
        kind="die",
        after="advertise",
        count=COHORT - RELEASE_MIN + 1,
        wallets=[small_stack.hosts.of(n)[1] for n in dying],
    )
    job = small_stack.order(budget=100 * RATE, max_rounds=1)
    small_stack.until_round(job, 1, "abandoned", seconds=120)
    told = small_stack.until_closed(job)
    small_stack.connect(*dying)
    first = told["rounds"][0]
    assert first["receipts"] >= RELEASE_MIN
    assert "Visits already proven are paid" in first["reason"]
    assert "Nobody's data was revealed" in first["reason"]
    assert [c for c in told["checkpoints"] if c["number"] == 1] == []
    # The one round that was ordered is still made, with wallets that did not come so far in the first.
    assert "completed" in told["transitions"], told["rounds"]
    assert [row["status"] for row in told["rounds"]].count("posted") == 1
    assert told["earned"] == sum(row["receipts"] for row in told["rounds"])
    gained = {n: small_stack.visits()[n] - visits[n] for n in visits}
    assert sum(gained.values()) == told["earned"]
    assert {n: small_stack.paid()[n] - paid[n] for n in paid} == {n: v * RATE for n, v in gained.items()}
    assert int(small_stack.inside.balance()) == before - told["earned"] * RATE
    money: dict[str, Any] = small_stack.inside.money(job=job)
    assert money["reconciled"], money["lines"]


def _gained(after: dict[int, int], before: dict[int, int]) -> int:
    return sum(after.values()) - sum(before.values())
