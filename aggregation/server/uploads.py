"""How many uploads are read at once, and how long one may take: back-pressure in place of growing queues.

An upload that waits for its turn is not read, so its sender's window fills and nothing grows here. A wallet has one upload at a
time. When every turn is taken and somebody waits, the slowest upload that is slower than `config.UPLOAD_FLOOR` loses its turn;
alone, a slow upload may go on as long as bytes arrive. Half-sent and dripping bodies so cost their senders, not the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aggregation.server import config
from aggregation.server.raw_http import Answer, Receive, chunks

LOOK_SECONDS = 0.2
"""How often one that waits looks for a slow one to take the turn of."""


@dataclass(eq=False)
class Upload:
    """One upload that has a turn."""

    since: float
    read: int = 0
    clock: asyncio.Timeout | None = field(default=None, repr=False)

    def rate(self, now: float) -> float:
        """Bytes per second so far."""
        return self.read / max(now - self.since, 1e-3)


class Turns:
    """At most `most` uploads are read at once; a wallet has one at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: dict[int, Upload] = {}
        self._waiting: set[int] = set()
        self._freed = asyncio.Event()

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def turn(self, wallet: int) -> AsyncIterator[Upload]:
        """Wait for a turn.

        Raises:
            Answer: 429, this wallet has an upload already.
        """
        if wallet in self._running or wallet in self._waiting:
            raise Answer(429, "one_at_a_time", "An upload of this wallet is running; wait for its answer.")
        self._waiting.add(wallet)
        try:
            while len(self._running) >= self._most:
                await self._wait()
            upload = Upload(since=asyncio.get_running_loop().time())
            self._running[wallet] = upload
        finally:
            self._waiting.discard(wallet)
        try:
            yield upload
        finally:
            del self._running[wallet]
            self._freed.set()

    async def _wait(self) -> None:
        self._freed.clear()
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._freed.wait()
        except TimeoutError:
            self._end_the_slowest()

    def _end_the_slowest(self) -> None:
        now = asyncio.get_running_loop().time()
        slow = [
            upload
            for upload in self._running.values()
            if upload.clock is not None
            and now - upload.since >= config.UPLOAD_PATIENCE_SECONDS
            and upload.rate(now) < config.UPLOAD_FLOOR
        ]
        if slow:
            clock = min(slow, key=lambda upload: upload.rate(now)).clock
            if clock is not None and not clock.expired():
                clock.reschedule(now)


async def body(receive: Receive, length: int, upload: Upload) -> AsyncIterator[bytes]:
    """The announced body, as it arrives.

    Raises:
        Answer: 408, no byte came for `config.UPLOAD_IDLE_SECONDS`, or others waited for this slow one; 400, cut or too long.
    """
    loop = asyncio.get_running_loop()
    pieces = chunks(receive, length)
    while True:
        try:
            async with asyncio.timeout(config.UPLOAD_IDLE_SECONDS) as upload.clock:
                piece = await anext(pieces, None)
        except TimeoutError:
            raise Answer(408, "too_slow", "The upload was too slow; send it again.") from None
        finally:
            upload.clock = None
        if piece is None:
            return
        upload.read += len(piece)
        if loop.time() - upload.since > config.UPLOAD_LONGEST_SECONDS:
            raise Answer(408, "too_slow", "The upload took too long; send it again.")
        yield piece
        del piece
