"""A sandbox with a wall taken out, for real: every way to run tasks says so and runs none, until the holder allows what may be allowed."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.unit.agent.test_membership import Make, make
from wallets.agent import commands
from wallets.agent.errors import SandboxError
from wallets.agent.holder import Holder
from wallets.agent.sandbox.launcher import Launcher
from wallets.agent.sandbox.policy import Fault, Layer, Level
from wallets.host.host import Host

__all__ = ["make"]  # the fixture
PASSPHRASE = "correct horse battery"


class Lacking(Launcher):
    """As on a machine where these steps of the sandbox do nothing; all others are the real ones."""

    def __init__(self, *steps: str) -> None:
        super().__init__(slots=1, bubblewrap=False)
        self._steps = steps

    def _code(self, descriptor: int) -> str:
        out = "".join(f"{step} = lambda *_, **__: False; " for step in self._steps)
        return (
            super()
            ._code(descriptor)
            .replace("worker.main()", f"from wallets.agent.sandbox import policy; {out}worker.main()")
        )


FILES = ("policy.landlock.restrict",)
CALLS = ("policy.seccomp.install",)
OPEN = (*FILES, *CALLS, "policy._limit_resources")
Start = Callable[..., Launcher]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    made: list[Launcher] = []

    def build(*steps: str) -> Launcher:
        made.append(Lacking(*steps))
        return made[-1]

    yield build
    for launcher in made:
        await launcher.close()


async def test_a_missing_layer_is_named_and_runs_nothing_until_the_holder_allows_it(
    start: Start, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = await make()
    agent.launcher = start(*FILES)
    with pytest.raises(SandboxError, match="landlock"):
        await commands._hold(agent)
    assert (agent.launcher.level, agent.launcher.missing) == (Level.REDUCED, {Layer.FILES})
    assert not agent.sandbox_fits("any")
    agent.lowest_sandbox = Level.REDUCED
    await commands._hold(agent)  # the other walls stand for it: no probe gets out
    assert "Sandbox level: reduced (missing: landlock). You allowed it." in capsys.readouterr().out
    assert agent.sandbox_fits("any")
    assert not agent.sandbox_fits("full")


async def test_without_seccomp_a_probe_gets_out_and_that_is_not_the_holders_to_allow(
    start: Start, make: Make
) -> None:
    agent = await make()
    agent.launcher, agent.lowest_sandbox = start(*CALLS), Level.REDUCED
    with pytest.raises(SandboxError, match="seccomp, abstract_socket"):
        await commands._hold(agent)
    assert agent.launcher.missing == {Layer.CALLS}


async def test_where_a_probe_gets_out_nobody_can_allow_it(start: Start, make: Make, tmp_path: Path) -> None:
    launcher = start(*OPEN)
    results = {one.name: one for one in await launcher.self_test(("read_file", "other_descriptors"))}
    assert not results["read_file"].blocked
    assert results["read_file"].how == "escaped"

    agent = await make()
    agent.launcher, agent.lowest_sandbox = launcher, Level.REDUCED
    with pytest.raises(SandboxError, match="read_file"):
        await commands._hold(agent)

    host = Host(
        tmp_path / "host",
        now=lambda: 1_700_000_000,
        rng=secrets.token_bytes,
        launcher=launcher,
        lowest_sandbox=Level.REDUCED,
    )
    with pytest.raises(SandboxError, match="read_file"):
        await host.start()
    assert host.agents == {}

    holder = Holder(tmp_path / "w", launcher=lambda: launcher)
    await holder.create(PASSPHRASE)
    try:
        holder.agent.lowest_sandbox = Level.REDUCED
        await holder._hold(holder.agent)
        assert holder.sandbox == "failed"
        assert not holder.agent.sandbox_fits("any")
    finally:
        await holder.lock()


async def test_a_host_with_a_missing_layer_does_not_start_unless_it_is_told_to(
    start: Start, tmp_path: Path
) -> None:
    launcher = start(*FILES)
    given = {"now": lambda: 1_700_000_000, "rng": secrets.token_bytes, "launcher": launcher}
    with pytest.raises(SandboxError, match=Layer.FILES.value):
        await Host(tmp_path / "host", **given).start()
    lowered = Host(tmp_path / "host", **given, lowest_sandbox=Level.REDUCED)
    await lowered.start()
    assert lowered.status()["sandbox_level"] == "reduced"
    assert lowered.status()["sandbox_missing"] == [Layer.FILES.value]
    await lowered.stop()


async def test_a_sandbox_that_cannot_start_runs_nothing(make: Make, tmp_path: Path) -> None:
    class Dead(Launcher):
        def _code(self, descriptor: int) -> str:
            return "raise SystemExit(1)"

    launcher = Dead(bubblewrap=False)
    agent = await make()
    agent.launcher = launcher
    with pytest.raises(SandboxError) as raised:
        await commands._hold(agent)
    assert raised.value.code == Fault.LOST
    holder = Holder(tmp_path / "w", launcher=lambda: launcher)
    await holder.create(PASSPHRASE)
    try:
        await holder._hold(holder.agent)
        assert holder.sandbox == "failed"
        assert not holder.agent.sandbox_fits("any")
    finally:
        await holder.lock()
