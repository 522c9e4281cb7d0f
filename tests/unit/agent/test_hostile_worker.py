"""A worker that was taken over, inside the real sandbox: what it tries to say with its answer, and what comes out.

The algorithm's vocabulary gives no way to write these; the tests put the hostile code into the sandboxed process itself, as if
a manifest had broken out of it, and look at what the agent's side lets through.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from tests.unit.agent.test_output import HEADER
from tests.unit.agent.test_sandbox import job
from wallets.agent import output
from wallets.agent.errors import OutputRefused, SandboxError
from wallets.agent.sandbox.launcher import LastingWorker, Launcher
from wallets.agent.sandbox.policy import Fault, Limits

pytestmark = pytest.mark.asyncio(loop_scope="module")
ANSWERS = {
    "nan": "b'\\x00\\x00\\xc0\\x7f' * 3",
    "infinity": "b'\\x00\\x00\\x80\\x7f' * 3",
    "huge": "b'\\xff\\xff\\x7f\\x7f' * 3",
    "oversized": "bytes(12) + b'height=4.5'",
    "far oversized": "bytes(64 << 20)",
    "short": "b'height=4.5'[:8]",
    "empty": "b''",
    "text": "(_ for _ in ()).throw(RuntimeError('height=4.5'))",
    "exit": "__import__('os')._exit(45)",
    "slow": "__import__('time').sleep(0.3) or bytes(12)",
}


class TakenOver(Launcher):
    """A sandbox whose algorithm is replaced by one hostile expression, chosen by the weights' first byte."""

    def _code(self, descriptor: int) -> str:
        table = "[" + ", ".join(f"lambda: {answer}" for answer in ANSWERS.values()) + "]"
        hostile = (
            f"table = {table}; warm = worker._train; "
            "worker._train = lambda job: table[job['weights'][0]]() if len(job['weights']) == 12 else warm(job); "
        )
        return super()._code(descriptor).replace("worker.main()", hostile + "worker.main()")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def taken_over() -> AsyncIterator[Launcher]:
    launcher = TakenOver(slots=1, limits=Limits(wall_seconds=10))
    await launcher.start()
    yield launcher
    await launcher.close()


async def answer(launcher: Launcher | LastingWorker, name: str) -> bytes:
    chosen = bytes([list(ANSWERS).index(name)]) + bytes(11)
    return await launcher.train(job(weights=chosen))


@pytest.mark.parametrize(
    "name, code",
    [
        ("oversized", Fault.OVERSIZED),
        ("far oversized", Fault.OVERSIZED),
        ("short", Fault.SHORT),
        ("empty", Fault.SHORT),
        ("text", Fault.FAILED),
        ("exit", Fault.CRASHED),
    ],
)
async def test_nothing_but_a_fixed_word_comes_out(taken_over: Launcher, name: str, code: Fault) -> None:
    with pytest.raises(SandboxError) as raised:
        await answer(taken_over, name)
    assert raised.value.code == code
    assert "4.5" not in str(raised.value)
    assert "45" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("name", ["nan", "infinity"])
async def test_numbers_that_are_none_stop_at_the_contract(taken_over: Launcher, name: str) -> None:
    raw = await answer(taken_over, name)
    with pytest.raises(OutputRefused) as raised:
        output.contract(raw + bytes(4), HEADER, os.urandom)
    assert raised.value.code == "not_finite"


async def test_the_largest_number_there_is_leaves_as_one_clip_bound(taken_over: Launcher) -> None:
    raw = await answer(taken_over, "huge")
    values = output.contract(raw + bytes(4), HEADER, os.urandom) / 2**HEADER.f
    assert np.linalg.norm(values) < 1 + 6 * HEADER.noise_micro / 1e6 * 2


async def test_how_long_it_took_is_rounded_to_few_moments(taken_over: Launcher) -> None:
    began = time.monotonic()
    await answer(taken_over, "slow")
    elapsed = time.monotonic() - began
    assert output.moment(elapsed) in {0.5, 1.0, 2.0, 4.0}
    moments = {output.moment(step / 1000) for step in range(0, 40_000, 7)}
    assert moments == {0.125 * 2**power for power in range(9)}
    assert all(output.moment(step / 100) >= step / 100 for step in range(3200))


async def test_a_lasting_worker_is_ended_by_its_first_fault(taken_over: Launcher) -> None:
    for name, code in [
        ("oversized", Fault.OVERSIZED),
        ("far oversized", Fault.OVERSIZED),
        ("short", Fault.SHORT),
        ("empty", Fault.SHORT),
        ("text", Fault.FAILED),
        ("exit", Fault.CRASHED),
    ]:
        worker = await taken_over.lasting()
        assert len(await answer(worker, "huge")) == 12
        with pytest.raises(SandboxError) as raised:
            await answer(worker, name)
        assert raised.value.code == code, name
        with pytest.raises((SandboxError, OSError)):
            await answer(worker, "huge")


async def test_a_lasting_worker_that_is_too_slow_is_killed(taken_over: Launcher) -> None:
    worker = await taken_over.lasting(limits=Limits(wall_seconds=0.1))
    with pytest.raises(SandboxError) as raised:
        await answer(worker, "slow")
    assert raised.value.code == Fault.TIME
