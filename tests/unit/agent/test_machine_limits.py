"""The holder's own limits for a collective, what privacy costs, and the sandbox that terms ask for."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from aggregation.secagg.messages import Header
from tests.unit.agent.scene import (
    NOW,
    Scene,
    machine,
    refused,
)
from wallets.agent.limits import UNBOUNDED, OwnLimits, epsilon_of, privacy_cost
from wallets.agent.messages import (
    Accept,
    Memory,
)
from wallets.agent.refusals import Refusal


def with_limits(scene: Scene, **limits: int) -> Memory:
    return replace(scene.memory, limits=OwnLimits(**limits))


@pytest.mark.parametrize(
    "limits, used, expected",
    [
        ({"visits_per_day": 1}, {"visits": (NOW - 5,), "visited": 1}, Refusal.DAILY_LIMIT),
        ({"visits_total": 3}, {"visited": 3}, Refusal.TOTAL_LIMIT),
        ({"bucket_min": 21}, {}, Refusal.MINIMA_TOO_LOW),
        ({"release_min": 101}, {}, Refusal.MINIMA_TOO_LOW),
        ({"privacy_micro": 27_801_282}, {}, Refusal.PRIVACY_BUDGET),
        ({"privacy_micro": 40_000_000}, {"spent_micro": 20_000_000}, Refusal.PRIVACY_BUDGET),
    ],
)
def test_the_holders_own_limits_for_a_collective_beat_the_permit(
    limits: dict[str, int], used: dict[str, Any], expected: Refusal
) -> None:
    """A header with clip 1, σ share 0.03 and sums of 20 costs ρ = 1 / (2 · 20 · 0.03²) = 27.78."""
    scene = Scene()
    memory = replace(with_limits(scene, **limits), **used)
    assert refused(scene.machine.decide(scene.task(memory=memory))) is expected


def test_within_the_limits_every_visit_is_counted_and_charged() -> None:
    scene = Scene()
    memory = with_limits(scene, visits_total=2, privacy_micro=60_000_000, bucket_min=20, release_min=100)
    accept = scene.machine.decide(scene.task(memory=memory))
    assert isinstance(accept, Accept)
    assert (accept.memory.visited, accept.memory.spent_micro) == (1, 27_801_283)
    assert Memory.from_record(accept.memory.to_record()) == accept.memory
    assert accept.memory.limits == memory.limits


def test_a_limit_above_the_wallets_own_does_not_raise_it() -> None:
    scene = Scene()
    scene.machine = machine(visits_per_day=1)
    memory = replace(with_limits(scene, visits_per_day=50), visits=(NOW - 5,))
    assert refused(scene.machine.decide(scene.task(memory=memory))) is Refusal.DAILY_LIMIT


def test_privacy_costs_follow_the_noise() -> None:
    """More noise, or more wallets in the smallest sum, costs less; no noise costs more than any budget."""
    scene = Scene()
    cost = privacy_cost(scene.header())
    assert privacy_cost(scene.header(noise_micro=60_000)) == pytest.approx(cost / 4, rel=1e-6)
    assert privacy_cost(scene.header(bucket_min=40)) == pytest.approx(cost / 2, rel=1e-6)
    assert privacy_cost(replace_noise(scene.header())) == UNBOUNDED
    assert epsilon_of(0) == 0
    assert 4.8 < epsilon_of(500_000) < 0.5 + 2 * (0.5 * math.log(1e6)) ** 0.5, (
        "tighter than the textbook bound"
    )


def replace_noise(header: Header) -> Header:
    """The same header without noise; a real one could not be made."""
    bare = object.__new__(Header)
    for name in Header.__dataclass_fields__:
        object.__setattr__(bare, name, getattr(header, name))
    object.__setattr__(bare, "noise_micro", 0)
    return bare


def test_a_sandbox_that_does_not_fit_runs_nothing() -> None:
    scene = Scene()
    assert refused(scene.machine.decide(replace(scene.task(), sandbox_fits=False))) is Refusal.SANDBOX_TOO_LOW
