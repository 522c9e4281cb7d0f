"""The sandbox's level: shown, lowered by the holder alone, told where the terms ask, and never below what they ask."""

from __future__ import annotations

import pytest

from tests.unit.agent.test_membership import Make, make, offer
from tests.unit.agent.world import World
from wallets.agent import membership
from wallets.agent.errors import Declined
from wallets.agent.journal import Kind
from wallets.agent.sandbox.launcher import Launcher
from wallets.agent.sandbox.policy import REQUIRED, Layer, Level

__all__ = ["make"]  # the fixture


async def test_the_sandbox_level_is_told_only_where_the_terms_ask_for_it(make: Make) -> None:
    for sandbox, level, said in (("any", None, None), ("full", REQUIRED, "full")):
        async with World(**({"sandbox": sandbox} if sandbox == "full" else {})) as world:
            agent = await make(world)
            agent.launcher = Claimed(level or frozenset())
            await membership.subscribe(agent, offer(world), through_pairing=False)
            (document,) = world.subscribers.values()
            assert document.get("sandbox") == said


async def test_a_reduced_sandbox_does_not_subscribe_where_full_is_asked(make: Make) -> None:
    async with World(sandbox="full") as world:
        agent = await make(world)
        agent.lowest_sandbox = (
            Level.REDUCED
        )  # the holder may lower the level, but not for a collective that asks for full
        agent.launcher = Claimed(REQUIRED - {Layer.CALLS})
        with pytest.raises(Declined) as raised:
            await membership.subscribe(agent, offer(world), through_pairing=False)
        assert raised.value.code == "sandbox_too_low"
        assert "seccomp" in raised.value.sentence
        assert not world.subscribers
        (entry,) = await agent.journal.entries(kinds=[Kind.REFUSED])
        assert entry.code == "sandbox_too_low"
        assert agent.sandbox_fits("any")
        assert not agent.sandbox_fits("full")
        agent.lowest_sandbox = Level.FULL
        assert not agent.sandbox_fits("any")


class Claimed(Launcher):
    """A launcher whose sandbox took exactly these layers."""

    def __init__(self, layers: frozenset[Layer]) -> None:
        super().__init__()
        self.layers = layers

    async def start(self) -> None:
        """It has started."""
