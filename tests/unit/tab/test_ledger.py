"""The tab's account of privacy comes to the agent's numbers: the same charges, the same budgets refused, over a year of random visits."""

from __future__ import annotations

import random
from dataclasses import asdict
from typing import Any

import pytest

from aggregation.privacy import budget
from tests.unit.agent.scene import NOW, Scene
from tests.unit.tab.node import Script
from wallets.agent import ledger as accounts
from wallets.agent.ledger import Budgets, Ledger

DAY = 86_400


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"privacy_micro_job": 300_000_000, "privacy_micro_year": 900_000_000},
        {"privacy_micro_year": 200_000_000},
    ],
)
async def test_a_year_of_visits_is_charged_as_the_agent_does(settings: dict[str, int]) -> None:
    scene, draws = Scene(), random.Random(len(settings))
    headers = [scene.header(), scene.header(noise_micro=200_000), scene.header(noise_micro=900_000, f=4)]
    budgets = Budgets(
        job_micro=settings.get("privacy_micro_job", 0), person_micro=settings.get("privacy_micro_year", 0)
    )
    ledger, refused, now = Ledger(), set(), NOW
    async with Script("ledger") as tab:
        for _ in range(120):
            now += draws.choice([60, DAY, 9 * DAY])
            header = draws.choice(headers)
            what: dict[str, Any] = {
                "collective_id": draws.choice(["a", "b"]),
                "job_id": draws.choice(["i", "j", "k"]),
                "formal": draws.random() < 0.4,
                "now": now,
            }
            found = accounts.charge(ledger, budgets, header=header, **what)
            sent = {
                "ledger": {"charges": [asdict(one) for one in ledger.charges]},
                "settings": settings,
                **what,
            }
            said = await tab.ask("charge", header=header.to_bytes().hex(), **sent)
            if isinstance(found, Ledger):
                ledger = found
                assert said == {
                    "ledger": found.to_record() | {"charges": [asdict(one) for one in found.charges]}
                }
            else:
                refused.add(found.value)
                assert said == {"refusal": found.value}
        record = {"charges": [asdict(one) for one in ledger.charges]}
        assert await tab.ask("spent", ledger=record, now=now, which={"formal": True}) == {
            name: getattr(ledger.spent(now=now, formal=True), name)
            for name in ("visits", "operator_micro", "consumer_micro")
        }
    assert "privacy_budget" in refused or "person_privacy_budget" in refused
    assert len(ledger.charges) > 5


async def test_costs_and_epsilons_are_the_agents() -> None:
    scene = Scene()
    async with Script("ledger") as tab:
        for header in (
            scene.header(),
            scene.header(f=0),
            scene.header(noise_micro=0),
            scene.header(d=1 << 20, f=30),
        ):
            expected = [
                budget.cost_micro(
                    header.clip_micro,
                    header.noise_micro,
                    wallets=wallets,
                    coordinates=header.padded_d,
                    fraction_bits=header.f,
                )
                for wallets in (20, 100)
            ]
            said = await tab.ask("costs", header=header.to_bytes().hex(), wallets=[20, 100])
            unbounded = float(
                accounts.UNBOUNDED
            )  # 2^62 is exact as a double, and JavaScript writes it with fewer digits
            assert [float(cost) for cost in said] == [
                unbounded if cost is None else cost for cost in expected
            ]
        for micro in (0, 1, 999, 500_000, 123_456_789):
            assert await tab.ask("epsilon", micro=micro) == pytest.approx(budget.epsilon(micro), rel=1e-9)
        for limit in (accounts.FORMAL_COLLECTIVE_EPSILON, accounts.FORMAL_PERSON_EPSILON):
            assert await tab.ask("rho", limit=limit) == budget.rho_micro(limit)


async def test_numbers_that_could_clamp_noise_promise_nothing() -> None:
    async with Script("ledger") as tab:
        for header, fits in (
            (Scene().header(q=13, noise_micro=100_000), False),
            (Scene().header(q=15, noise_micro=200_000), True),
        ):
            what: dict[str, Any] = {"collective_id": "a", "job_id": "i", "formal": False, "now": NOW}
            budgets = Budgets(person_micro=2**50)
            said = await tab.ask(
                "charge",
                header=header.to_bytes().hex(),
                ledger={"charges": []},
                settings={"privacy_micro_year": 2**50},
                **what,
            )
            found = accounts.charge(Ledger(), budgets, header=header, **what)
            assert isinstance(found, Ledger) is fits
            assert ("ledger" in said) is fits
