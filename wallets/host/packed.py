"""Visits of many wallets of one host trained together: one sandboxed worker for a whole handful, one answer for each.

Every wallet hands over its own numbers and gets its own answer; clipping, noise, masks and receipts stay each agent's. What is
shared is the fork and the call into torch, so within one handful an algorithm that broke out of its vocabulary could carry something from one
wallet of this host to another of the same host and round. A wallet that has its machine for itself shares nothing (docs/adr/0064).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from aggregation.wire import cbor
from wallets.agent.errors import SandboxError
from wallets.agent.sandbox.faults import fault
from wallets.agent.sandbox.launcher import Launcher, TrainJob
from wallets.agent.sandbox.policy import Fault

MOST_TOGETHER = 64
GATHER_SECONDS = 0.05
"""Wallets of a round come within moments of each other; the first waits so long for the others."""


@dataclass(eq=False)
class _Waiting:
    job: TrainJob
    started: Callable[[], None]
    answer: asyncio.Future[bytes]


class PackedLauncher(Launcher):
    """A launcher whose visits to the same model share workers. Everything else is the ordinary launcher's."""

    def __init__(self, *, slots: int | None = None) -> None:
        super().__init__(slots=slots)
        self._waiting: dict[tuple[object, ...], list[_Waiting]] = {}
        self._handfuls: set[asyncio.Task[None]] = set()

    async def train(self, job: TrainJob, *, started: Callable[[], None] = lambda: None) -> bytes:
        """One visit of a handful; exactly 4·d bytes come back, or SandboxError with a fixed code."""
        loop = asyncio.get_running_loop()
        kind = (job.manifest, job.weights, job.x_shape, job.y_shape, job.dimension)
        mine = _Waiting(job=job, started=started, answer=loop.create_future())
        others = self._waiting.setdefault(kind, [])
        others.append(mine)
        if len(others) == 1:
            loop.call_later(GATHER_SECONDS, self._go, kind)
        if len(others) >= MOST_TOGETHER:
            self._go(kind)
        return await mine.answer

    async def close(self) -> None:
        """End the parent, every child, and what still waits."""
        for task in tuple(self._handfuls):
            task.cancel()
        await asyncio.gather(*self._handfuls, return_exceptions=True)
        await super().close()

    def _go(self, kind: tuple[object, ...]) -> None:
        handful = [one for one in self._waiting.pop(kind, []) if not one.answer.done()]
        if handful:
            task = asyncio.get_running_loop().create_task(self._together(handful))
            self._handfuls.add(task)
            task.add_done_callback(self._handfuls.discard)

    async def _together(self, handful: list[_Waiting]) -> None:
        if len(handful) == 1:
            await self._alone(handful[0])
            return
        size = 4 * handful[0].job.dimension
        limits = replace(self.limits, cpu_seconds=self.limits.cpu_seconds + len(handful))

        def started() -> None:
            for one in handful:
                one.started()

        try:
            answers = await self._run(
                frame([one.job for one in handful]), size * len(handful), limits, started
            )
            if len(answers) != size * len(handful):
                raise fault(Fault.SHORT)
        except SandboxError:
            # One record may have been more than the algorithm could bear: the others must not suffer for it.
            for one in handful:
                await self._alone(one)
            return
        self.visits += len(handful) - 1
        for place, one in enumerate(handful):
            if not one.answer.done():
                one.answer.set_result(answers[place * size : (place + 1) * size])

    async def _alone(self, one: _Waiting) -> None:
        try:
            answer = await super().train(one.job, started=one.started)
        except SandboxError as error:
            if not one.answer.done():
                one.answer.set_exception(error)
            return
        if not one.answer.done():
            one.answer.set_result(answer)


def frame(jobs: list[TrainJob]) -> bytes:
    """Several visits to one model as one CBOR map: public parts once, each wallet's numbers in order."""
    first = jobs[0]
    return cbor.encode(
        {
            "kind": "train-many",
            "manifest": first.manifest,
            "weights": first.weights,
            "x": b"".join(job.x for job in jobs),
            "x_shape": [len(jobs), *first.x_shape],
            "y": b"".join(job.y for job in jobs),
            "y_shape": [len(jobs), *first.y_shape],
            "seeds": [job.seed for job in jobs],
        }
    )
