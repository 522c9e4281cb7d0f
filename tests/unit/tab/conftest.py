"""The scripted servers, and agents of the tab in Node beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from aggregation.wire import signing
from tests.unit.agent import documents, rounds
from tests.unit.agent.rounds import Round
from tests.unit.agent.world import World
from tests.unit.tab.node import Script
from wallets.agent import server

WALLETS = 4
PATIENCE_SECONDS = 15.0
RECORDS = [{"height": i + 0.5, "weight": 9.5 - i, "ill": i % 2 == 0} for i in range(WALLETS)]


def link(world: World, code: str = "abcd") -> str:
    return f"cssi://pair?url={world.url}&code={code}&pin={server.pin_of(world.description())}"


class Scene:
    """Subscribed, connected and enrolled agents, and what the aggregator was given."""

    def __init__(self, world: World, tab: Script, names: list[str]) -> None:
        self.world, self.tab, self.names = world, tab, names
        self.keys: dict[str, bytes] = {}

    async def enrol(self) -> None:
        self.job = self.world.collective.job(
            documents.now(),
            distributor_key=signing.public_key(self.world.distributor_key).hex(),
            aggregator_key=signing.public_key(self.world.aggregator_key).hex(),
        )
        self.enrolments = await self.world.enrol_all(self.job)
        self.log = await self.world.freeze(self.job["document"]["job_id"], self.enrolments)

    def round(self, number: int, **changes: Any) -> Round:
        job = self.job["document"]["job_id"]
        return Round(
            self.world, job_id=job, number=number, log=self.log, enrolments=self.enrolments, **changes
        )

    async def total(self, number: int, names: list[str] | None = None) -> np.ndarray[Any, Any]:
        sums = np.zeros(3, np.int64)
        for name in names or self.names:
            for one in await self.tab.ask("updates", name=name):
                sums += np.array(one["update"]) if one["round"] == number else 0
        return sums

    async def journal(self, name: str) -> list[tuple[str, str]]:
        found = await self.tab.ask("journal", name=name)
        assert found["broken"] is None
        return [(entry["kind"], entry["code"]) for entry in found["entries"]]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World(development=True, bucket_min=3, release_min=3) as made:
        yield made


@pytest.fixture
async def tab() -> AsyncIterator[Script]:
    async with Script("agent") as script:
        yield script


@pytest.fixture
async def scene(world: World, tab: Script, monkeypatch: pytest.MonkeyPatch) -> Scene:
    # A busy machine is not a silent wallet: phases close when all have answered.
    monkeypatch.setattr(rounds, "QUIET_SECONDS", PATIENCE_SECONDS)
    names = [f"w{number}" for number in range(WALLETS)]
    made = Scene(world, tab, names)
    for name, record in zip(names, RECORDS, strict=True):
        await tab.ask("create", name=name, record=record)
        await tab.ask("know", name=name, url=world.url, pin=server.pin_of(world.description()))
        await tab.ask("answer", name=name, answer="subscribe")
        await tab.ask("run", name=name)
        made.keys[name] = bytes.fromhex(await tab.ask("subscribe", name=name, collective=world.collective.id))
    await world.until(lambda: sum(len(line.keys) for line in world.lines) == WALLETS)
    await made.enrol()
    return made


@pytest.fixture
async def wallet(world: World, tab: Script) -> Script:
    """One wallet with data, that knows nobody yet."""
    await tab.ask("create", name="w", record=RECORDS[0])
    return tab
