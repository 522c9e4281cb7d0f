"""The hub: one per process. It knows this process's wallet sockets and sends them what waits in the database.

One channel-layer membership serves the whole process; a group per wallet would cost seconds at ten thousand wallets. A
wake-up names a row; the hub reads it and finds the sockets in its own registry. Lost wake-ups are caught by looking at the
database every few seconds, so a killed broker delays and never loses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from channels.layers import get_channel_layer

from wallets.distributor import config, selectors, wakeups
from wallets.distributor.batching import Batcher, DatabaseThread
from wallets.distributor.selectors import Waiting
from wallets.distributor.services import answers, presence

logger = logging.getLogger(__name__)
LOOK_SECONDS = 5.0
LOOKED_AT_ONCE = 500
"""Keys for which everything is looked up at a time. What cannot wait for its turn, rounds and enrolments, is looked up for all."""
REJOIN_SECONDS = 3600
ARRIVALS_SECONDS = 0.2
"""Between two looks at what waits for wallets that come many at a time, as all do when a server starts again: five statements a look."""


class Connection(Protocol):
    """What the hub needs of a socket."""

    keys: set[str]
    sent: set[tuple[str, int, str]]

    async def push(self, frame: dict[str, Any] | bytes) -> None:
        """Send it; bytes are a frame that is encoded already."""

    async def beat(self) -> bool:
        """Send a ping; False when the last one was not answered."""

    async def drop(self) -> None: ...


class Hub:
    def __init__(self) -> None:
        self.thread = DatabaseThread("distributor-hub")
        self.answers = Batcher(self.thread, answers.record)
        self._arrivals: Batcher[frozenset[str], list[Waiting]] = Batcher(
            self.thread, _arrive, crowd_pause=ARRIVALS_SECONDS
        )
        self._by_key: dict[str, list[Connection]] = {}
        self._connections: set[Connection] = set()
        self._gone: set[str] = set()
        self._unlooked: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._wakes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def start(self) -> None:
        wakeups.listen(self._wakes.put_nowait)
        loops = (self._listen, self._serve_wakes, self._look, self._heartbeat, self._write_gone)
        self._tasks = [asyncio.get_running_loop().create_task(_forever(loop)) for loop in loops]

    async def stop(self) -> None:
        wakeups.unlisten(self._wakes.put_nowait)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.thread.close()

    # sockets

    def add(self, connection: Connection) -> None:
        self._connections.add(connection)

    async def bind(self, connection: Connection, keys: Iterable[str]) -> None:
        """These keys were proven on this connection: send what waits for them."""
        fresh = frozenset(keys)
        connection.keys |= fresh
        for key in fresh:
            # The newest socket of a wallet is the live one. But a busy server may hear the hello of a socket that was given up
            # after that of its successor, so an older one is kept until it ends.
            held = self._by_key.setdefault(key, [])
            if connection not in held:
                held.append(connection)
        self._gone -= fresh
        await self._send(await self._arrivals.put(fresh))

    def remove(self, connection: Connection) -> None:
        self._connections.discard(connection)
        for key in connection.keys:
            held = self._by_key.get(key, [])
            if connection in held:
                held.remove(connection)
                if not held:
                    del self._by_key[key]
                    self._gone.add(key)

    # wake-ups

    async def _listen(self) -> None:
        layer = get_channel_layer()
        if layer is None:
            return
        channel = await layer.new_channel()
        await layer.group_add(wakeups.GROUP, channel)
        try:
            async with asyncio.timeout(REJOIN_SECONDS):
                while True:
                    message = await layer.receive(channel)
                    if message.get("from") != wakeups.HERE:
                        self._wakes.put_nowait(message)
        except TimeoutError:
            await layer.group_discard(wakeups.GROUP, channel)

    async def _serve_wakes(self) -> None:
        message = await self._wakes.get()
        for name, read in _READERS.items():
            if name in message:
                await self._send(await self.thread.run(read, message[name]))

    async def _look(self) -> None:
        await asyncio.sleep(LOOK_SECONDS)
        if not self._by_key:
            return
        await self._send(await self.thread.run(selectors.waiting_answers))
        if not self._unlooked:
            self._unlooked = list(self._by_key)
        part, self._unlooked = self._unlooked[:LOOKED_AT_ONCE], self._unlooked[LOOKED_AT_ONCE:]
        await self._send(await self.thread.run(selectors.waiting_for, part))

    async def _send(self, waiting: Iterable[Waiting]) -> None:
        """All at once: with a pause amid ten thousand the answers to the first would be read before the last have left, and the last
        would wait twice as long."""
        for item in waiting:
            held = self._by_key.get(item.key)
            if not held or item.mark in held[-1].sent:
                continue
            connection = held[-1]
            connection.sent.add(item.mark)
            await connection.push(item.data)

    # liveness

    async def _heartbeat(self) -> None:
        await asyncio.sleep(config.HEARTBEAT_SECONDS)
        for connection in tuple(self._connections):
            if not await connection.beat():
                await connection.drop()
                self.remove(connection)
        if self._by_key:
            await self.thread.run(presence.note, dict.fromkeys(self._by_key, True))

    async def _write_gone(self) -> None:
        await asyncio.sleep(0.2)
        if self._gone:
            gone, self._gone = self._gone, set()
            await self.thread.run(presence.note, dict.fromkeys(gone, False))


_READERS: dict[str, Callable[[Any], list[Waiting]]] = {
    "mail": selectors.waiting_mail,
    "notice": selectors.waiting_notice,
    "job": selectors.waiting_job,
    "round": selectors.waiting_round,
}


def _arrive(batch: Any) -> list[list[Waiting] | Exception]:
    """Note the arrivals as connected and read what waits for all of them at once."""
    keys = set().union(*batch)
    presence.note(dict.fromkeys(keys, True))
    by_key: dict[str, list[Waiting]] = {}
    for item in selectors.waiting_for(keys):
        by_key.setdefault(item.key, []).append(item)
    return [[item for key in part for item in by_key.get(key, ())] for part in batch]


async def _forever(step: Callable[[], Any]) -> None:
    pause = 0.1
    while True:
        try:
            await step()
            pause = 0.1
        except Exception as error:
            # Type only: a message of a database error could carry a key.
            logger.warning("the hub's %s failed (%s); tried again", step.__name__, type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(5.0, pause * 2)


_hub: Hub | None = None


def current() -> Hub:
    """This process's hub, started on first use."""
    global _hub
    if _hub is None:
        _hub = Hub()
        _hub.start()
    return _hub


async def close() -> None:
    global _hub
    hub, _hub = _hub, None
    if hub is not None:
        await hub.stop()
