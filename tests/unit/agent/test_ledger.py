"""The person's own account of privacy: per job, per collective, over all; refused by name before anything is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregation.privacy import budget
from tests.unit.agent import documents
from tests.unit.agent.scene import NOW, Scene, machine
from tests.unit.agent.test_hostile_server import Attack
from tests.unit.agent.test_inbox import scene_with
from tests.unit.agent.world import World
from wallets.agent import settings
from wallets.agent.consent import Rule
from wallets.agent.journal import Kind
from wallets.agent.ledger import (
    DAY_SECONDS,
    RECORD,
    UNBOUNDED,
    YEAR_DAYS,
    Budgets,
    Charge,
    Ledger,
    charge,
    cost_of,
)
from wallets.agent.messages import Refused
from wallets.agent.refusals import Refusal

NONE = Budgets(formal_collective_micro=0, formal_person_micro=0)
HEADER = Scene().header()
COST = cost_of(HEADER)


def visited(ledger: Ledger = Ledger(), budgets: Budgets = NONE, **changes: Any) -> Ledger | Refusal:  # noqa: B008
    values = {"collective_id": "c1", "job_id": "j1", "formal": True, "now": NOW}
    return charge(ledger, budgets, header=HEADER, **{**values, **changes})


def after(*visits: dict[str, Any]) -> Ledger:
    ledger = Ledger()
    for changes in visits:
        found = visited(ledger, **changes)
        assert isinstance(found, Ledger)
        ledger = found
    return ledger


def test_a_visit_costs_each_reader_what_the_smallest_sum_it_gets_hides() -> None:
    """Clip 1, three coordinates in units of 2⁻¹², σ share 0.03, sums of 20 and of 100: Δ = 1 + √3/4096."""
    delta = 1 + 3**0.5 / 4096

    assert COST.operator_micro == pytest.approx(1e6 * delta**2 / (2 * 20 * 0.03**2), rel=1e-5)
    assert COST.consumer_micro == pytest.approx(COST.operator_micro / 5, rel=1e-6)
    silent = object.__new__(type(HEADER))
    for name in HEADER.__dataclass_fields__:
        object.__setattr__(silent, name, 0 if name == "noise_micro" else getattr(HEADER, name))
    assert cost_of(silent).operator_micro == UNBOUNDED
    assert cost_of(Scene().header(q=13)).operator_micro == UNBOUNDED, "a clamped value has lost noise"
    assert cost_of(Scene().header(q=14)).operator_micro == COST.operator_micro


@pytest.mark.parametrize(
    "budgets, before, expected",
    [
        (Budgets(job_micro=COST.operator_micro * 2), [{}, {}], Refusal.JOB_PRIVACY_BUDGET),
        (Budgets(person_micro=COST.operator_micro * 2), [{"job_id": "j2"}, {"collective_id": "c2"}], Refusal.PERSON_PRIVACY_BUDGET),
        (
            Budgets(formal_collective_micro=COST.operator_micro * 2),
            [{"job_id": "j2"}, {"job_id": "j3"}],
            Refusal.PRIVACY_BUDGET,
        ),
        (
            Budgets(formal_person_micro=COST.operator_micro * 2),
            [{"collective_id": "c2"}, {"collective_id": "c3"}],
            Refusal.PERSON_PRIVACY_BUDGET,
        ),
    ],
)  # fmt: skip
def test_the_visit_that_would_exceed_a_budget_is_refused_by_name(
    budgets: Budgets, before: list[dict[str, Any]], expected: Refusal
) -> None:
    only = replace(
        NONE, **{name: value for name, value in vars(budgets).items() if value != getattr(Budgets(), name)}
    )

    assert isinstance(visited(after(before[0]), only), Ledger), "the second visit is within"
    assert visited(after(*before), only) is expected
    later = NOW + YEAR_DAYS * DAY_SECONDS
    assert isinstance(visited(after(*before), only, now=later), Ledger), "a year later it is spent no more"
    assert visited(after(*before), only, now=later - DAY_SECONDS) is expected


def test_a_job_does_not_pay_for_another_nor_a_collective_for_another() -> None:
    two = COST.operator_micro * 2
    busy = after({}, {})

    assert isinstance(visited(busy, replace(NONE, job_micro=two), job_id="j2"), Ledger)
    assert isinstance(visited(busy, replace(NONE, formal_collective_micro=two), collective_id="c2"), Ledger)


def test_formal_caps_are_three_and_eight_and_leave_aggregate_visits_alone() -> None:
    caps = Budgets()

    assert (
        budget.epsilon(caps.formal_collective_micro) <= 3 < budget.epsilon(caps.formal_collective_micro + 2)
    )
    assert budget.epsilon(caps.formal_person_micro) <= 8 < budget.epsilon(caps.formal_person_micro + 3)
    assert visited(budgets=caps) is Refusal.PRIVACY_BUDGET, "the noise floor is no formal privacy"
    aggregate = after(*[{"formal": False}] * 3)
    assert aggregate.spent(now=NOW).visits == 3
    assert aggregate.spent(now=NOW, formal=True).visits == 0
    assert (
        visited(aggregate, Budgets(person_micro=COST.operator_micro), formal=False)
        is Refusal.PERSON_PRIVACY_BUDGET
    )


def test_both_epsilons_are_said() -> None:
    spent = after({}, {}).spent(now=NOW)

    assert spent.operator_epsilon > spent.consumer_epsilon > 0
    assert f"{spent.operator_epsilon:.2f}" in spent.words()
    assert f"{spent.consumer_epsilon:.2f}" in spent.words()


charges = st.builds(
    Charge,
    day=st.integers(0, 1000),
    collective_id=st.sampled_from("ab"),
    job_id=st.sampled_from("xyz"),
    formal=st.booleans(),
    visits=st.just(1),
    operator_micro=st.integers(0, 10**9),
    consumer_micro=st.integers(0, 10**6),
)


@given(st.lists(charges, max_size=40))
def test_nothing_within_a_year_is_lost_and_nothing_older_is_kept(made: list[Charge]) -> None:
    ledger, last = Ledger(), 0
    for one in sorted(made, key=lambda item: item.day):
        ledger, last = ledger.charged(one), one.day
    within = [one for one in made if one.day > last - YEAR_DAYS]

    for which in ({}, {"job_id": "x"}, {"collective_id": "a", "formal": True}):
        expected = [one for one in within if all(getattr(one, k) == v for k, v in which.items())]
        found = ledger.spent(now=last * DAY_SECONDS, **which)  # type: ignore[arg-type]
        assert (found.visits, found.operator_micro) == (
            len(expected),
            sum(one.operator_micro for one in expected),
        )
    keys = [(one.day, one.collective_id, one.job_id, one.formal) for one in ledger.charges]
    assert len(keys) == len(set(keys)), "one line per day and job"
    assert Ledger.from_record(ledger.to_record()) == ledger
    assert Ledger.from_record(None) == Ledger()


def test_the_machine_names_the_budget_and_charges_an_accepted_visit() -> None:
    scene = Scene()
    visit = scene.visit()

    charged = machine().account(visit, Ledger(), NONE, formal=True, now=NOW)
    assert isinstance(charged, Ledger)
    (line,) = charged.charges
    assert (line.collective_id, line.job_id, line.visits) == (visit.collective_id, visit.job.job_id, 1)
    no = machine().account(visit, charged, replace(NONE, job_micro=COST.operator_micro), formal=True, now=NOW)
    assert isinstance(no, Refused)
    assert no.refusal is Refusal.JOB_PRIVACY_BUDGET
    assert no.refusal.wire == "no"
    assert "one job" in no.sentence


async def test_a_refused_visit_is_in_the_journal_and_charges_nothing(tmp_path: Path) -> None:
    """Over the wire: the first visit is charged durably, the next round would exceed the holder's year and hears a vague no."""
    async with World() as world:
        scene = await scene_with(tmp_path, world, Rule.WEB)
        try:
            attack = await Attack.prepare(scene)
            cost = cost_of(attack.header()).operator_micro
            await settings.save(scene.agent.store, {"privacy_micro_year": cost + 1})

            assert await attack.invite() == "accept"
            first = Ledger.from_record(await scene.agent.store.get(*RECORD))
            assert [(one.visits, one.operator_micro, one.formal) for one in first.charges] == [
                (1, cost, False)
            ]

            task = world.collective.task(attack.header(round=2), documents.now())
            assert await attack.invite(task) == "no"
            assert (await scene.codes(Kind.REFUSED))[-1] == "person_privacy_budget"
            assert Ledger.from_record(await scene.agent.store.get(*RECORD)) == first

            await settings.save(scene.agent.store, {"privacy_micro_year": 0})
            assert await attack.invite(task) == "accept", "the refusal used nothing up"
        finally:
            await scene.host.stop()
