"""The sandbox's level: shown, lowered by the holder alone, told where the terms ask, and never below what they ask."""

from __future__ import annotations

from typing import Any

import pytest

from aggregation.wire import cbor
from tests.unit.agent.test_membership import Make, make, offer
from tests.unit.agent.world import World
from wallets.agent import cli, commands, membership
from wallets.agent.errors import Declined, SandboxError
from wallets.agent.journal import Kind
from wallets.agent.sandbox import probes
from wallets.agent.sandbox.launcher import Launcher
from wallets.agent.sandbox.policy import REQUIRED, Fault, Layer, Level

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


@pytest.mark.parametrize(
    ("faults", "without", "code"),
    [
        ({}, None, 0),
        ({"tcp": Fault.FAILED}, None, 1),
        ({"signal_parent": Fault.LOST}, None, 1),
        ({"memory": Fault.REFUSED}, None, 1),
        ({"memory": Fault.MEMORY, "endless": Fault.TIME}, None, 0),
        ({}, Layer.FILES, 1),
        ({}, Layer.ROOT, 0),
    ],
)
def test_selftest_exits_0_only_if_every_probe_was_blocked_and_every_layer_holds(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    faults: dict[str, Fault],
    without: Layer | None,
    code: int,
) -> None:
    """The real launcher judges; what the sandbox answers is scripted. That it holds in truth, `test_sandbox` shows."""

    class Scripted(Claimed):
        def __init__(self) -> None:
            super().__init__(frozenset(Layer) - {without})

        async def _run(self, frame: bytes, *_: Any) -> bytes:
            fault = faults.get(cbor.decode(frame)["name"])
            if fault is not None:
                raise SandboxError("scripted", code=fault.value)
            return probes.BLOCKED

    monkeypatch.setattr(commands, "Launcher", Scripted)
    assert cli.main(["selftest"]) == code
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[1 : 1 + len(probes.PROBES)]] == list(probes.PROBES)
    assert ("ESCAPED" in out) == bool(set(faults.values()) & {Fault.FAILED, Fault.LOST, Fault.REFUSED})


def test_an_escape_is_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    class Leaky(Claimed):
        def __init__(self) -> None:
            super().__init__(REQUIRED)

        async def _run(self, frame: bytes, *_: Any) -> bytes:
            return probes.ESCAPED

    monkeypatch.setattr(commands, "Launcher", Leaky)
    assert cli.main(["selftest"]) == 1


class Claimed(Launcher):
    """A launcher whose sandbox took exactly these layers."""

    def __init__(self, layers: frozenset[Layer]) -> None:
        super().__init__()
        self.layers = layers

    async def start(self) -> None:
        """It has started."""
