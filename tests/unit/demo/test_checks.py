"""The verdicts of a demo on what was broken on purpose."""

from __future__ import annotations

import pytest

from marketplace.demo import checks
from marketplace.demo.result import Check, DemoResult, FaultFacts, RoundFacts


def verdict(*, killed: bool, abandoned: int, happened: tuple[int, int]) -> Check:
    """Two rounds with two faults planned in each."""
    result = DemoResult(
        title="x", generated_data=True, wallets=9, test_people=1, cohort=3, rounds_planned=2, seed=1
    )
    result.rounds = [RoundFacts(number=n, state="abandoned" if n == abandoned else "posted") for n in (1, 2)]
    result.faults = [
        FaultFacts(round=n, kind="cut", after="", planned=2, happened=count)
        for n, count in enumerate(happened, 1)
    ]
    result.faults_of_servers = ["web in round 2"] if killed else []
    checks._breakage(result)
    return result.checks[0]


@pytest.mark.parametrize(
    ("killed", "abandoned", "happened", "holds"),
    [
        (False, 0, (2, 2), True),
        (False, 0, (2, 1), False),
        (False, 2, (2, 1), False),
        (True, 2, (2, 1), True),
        (True, 2, (1, 2), False),
        (True, 2, (2, 3), False),
        (True, 0, (2, 0), False),
    ],
)
def test_only_a_round_abandoned_beside_a_killed_server_may_miss_faults(
    killed: bool, abandoned: int, happened: tuple[int, int], holds: bool
) -> None:
    found = verdict(killed=killed, abandoned=abandoned, happened=happened)
    assert found.ok is holds
    assert f"{sum(happened)} of 4 planned faults happened." in found.detail
    assert ("Round 2 was abandoned" in found.detail) is (killed and abandoned == 2 and happened[1] != 2)
