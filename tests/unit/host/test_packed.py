"""Who trains with whom, and what becomes of the others when one of a handful fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aggregation.wire import cbor
from wallets.agent.errors import SandboxError
from wallets.agent.sandbox.faults import fault
from wallets.agent.sandbox.launcher import TrainJob
from wallets.agent.sandbox.policy import Fault
from wallets.host import packed
from wallets.host.packed import MOST_TOGETHER, PackedLauncher

D = 2


class Recorded(PackedLauncher):
    """The sandbox's door replaced: each answer is twice the wallet's own numbers; a record of NaN fails whom it trains with."""

    def __init__(self) -> None:
        super().__init__()
        self.handfuls: list[int] = []

    async def _run(
        self, frame: bytes, expected: int, limits: Any, started: Callable[[], None] = lambda: None
    ) -> bytes:
        job = cbor.decode(frame)
        x = np.frombuffer(job["x"], "<f4")
        self.handfuls.append(job["x_shape"][0] if job["kind"] == "train-many" else 1)
        started()
        await asyncio.sleep(0)
        if np.isnan(x).any():
            raise fault(Fault.FAILED)
        return (2 * x).astype("<f4").tobytes()


def job(number: float, weights: bytes = b"w") -> TrainJob:
    x = np.array([number, number + 0.5], "<f4").tobytes()
    return TrainJob(
        manifest=b"{}",
        weights=weights,
        x=x,
        x_shape=(1, D),
        y=b"",
        y_shape=(1, 0),
        seed=bytes(32),
        dimension=D,
    )


def answer(number: float) -> bytes:
    return np.array([2 * number, 2 * number + 1], "<f4").tobytes()


async def test_wallets_that_come_together_train_together_and_each_gets_its_own() -> None:
    launcher = Recorded()
    heard: list[int] = []
    jobs = [launcher.train(job(n), started=lambda n=n: heard.append(n)) for n in range(5)]
    assert await asyncio.gather(*jobs) == [answer(n) for n in range(5)]
    assert launcher.handfuls == [5]
    assert heard == list(range(5))


async def test_another_model_and_a_full_handful_are_handfuls_of_their_own() -> None:
    launcher = Recorded()
    jobs = [launcher.train(job(n)) for n in range(MOST_TOGETHER + 3)]
    jobs += [launcher.train(job(n, b"other")) for n in range(2)]
    found = await asyncio.gather(*jobs)
    assert found == [answer(n) for n in [*range(MOST_TOGETHER + 3), 0, 1]]
    assert sorted(launcher.handfuls) == [2, 3, MOST_TOGETHER]


async def test_a_wallet_whose_training_fails_fails_alone() -> None:
    launcher = Recorded()
    found = await asyncio.gather(
        launcher.train(job(1)),
        launcher.train(job(float("nan"))),
        launcher.train(job(3)),
        return_exceptions=True,
    )
    assert (found[0], found[2]) == (answer(1), answer(3))
    assert isinstance(found[1], SandboxError)
    assert launcher.handfuls == [3, 1, 1, 1]


async def test_a_wallet_that_was_cancelled_is_not_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "GATHER_SECONDS", 0.02)
    launcher = Recorded()
    leaver = asyncio.ensure_future(launcher.train(job(1)))
    stayer = asyncio.ensure_future(launcher.train(job(2)))
    await asyncio.sleep(0)
    leaver.cancel()
    assert await stayer == answer(2)
    assert launcher.handfuls == [1]
