"""Micro-batches: what many sockets say at once is written in one transaction.

While one batch is being written the next one gathers, and under load the pause between two batches is as long as the last one took,
twice as long after a large one: the batch size follows the load, and time is left to whoever else needs the database. What is said is
gathered for a moment that nobody notices in a round of many seconds: a batch of one costs nearly as much as one of twenty. Where nobody
waits for the result, several at a time are a crowd, and what it says is gathered longer (`crowd_pause`).
All database work of a hub runs on one thread of its own: it neither blocks the event loop nor queues behind page views.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from django.db import InterfaceError, OperationalError, connections

GATHER_SECONDS = 0.02
LONGEST_PAUSE = 0.06
LARGE = 32
CROWD = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


class DatabaseThread:
    """One thread for database work of one event loop."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[..., Result], *args: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, _guarded, work, *args)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pool, connections.close_all)
        self._pool.shutdown(wait=False)


def _guarded(work: Callable[..., Result], *args: Any) -> Result:
    try:
        return work(*args)
    except (InterfaceError, OperationalError):
        connections.close_all()  # the next piece of work opens a fresh connection
        raise


class Batcher(Generic[Item, Result]):
    """Collects items and hands them to `write(items) -> results`, one result per item; an exception is a result too.

    Args:
        most: items of a batch.
        crowd_pause: seconds between two batches from `CROWD` items on.
    """

    def __init__(
        self,
        thread: DatabaseThread,
        write: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        *,
        most: int = 500,
        crowd_pause: float = 0.0,
    ) -> None:
        self._thread = thread
        self._write = write
        self._most = most
        self._crowd_pause = crowd_pause
        self._next = 0.0  # the earliest moment of the next batch
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._running: asyncio.Task[None] | None = None

    async def put(self, item: Item) -> Result:
        """The result for this item, after its batch was committed."""
        return await self.add(item)

    def add(self, item: Item) -> asyncio.Future[Result]:
        """As `put`, for who need not wait: ten thousand answers at once are not ten thousand tasks."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, future))
        if self._running is None or self._running.done():
            self._running = loop.create_task(self._drain())
        return future

    async def _drain(self) -> None:
        while self._waiting:
            await asyncio.sleep(max(GATHER_SECONDS, self._next - time.monotonic()))
            began = time.monotonic()
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            try:
                results: Sequence[Any] = await self._thread.run(self._write, [item for item, _ in batch])
            except Exception as error:  # the whole batch failed: every sender hears it
                results = [error] * len(batch)
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)
            ended = time.monotonic()
            self._next = ended + pause_after(len(batch), ended - began, crowd_pause=self._crowd_pause)


def pause_after(size: int, took: float, *, crowd_pause: float = 0.0) -> float:
    """Seconds until the next batch, after one of `size` items that took `took` seconds."""
    large = 2 if size >= LARGE else 1
    pause = max(GATHER_SECONDS, large * min(LONGEST_PAUSE, took))
    return max(pause, crowd_pause) if size >= CROWD else pause
