"""Sockets to the aggregator that the visits of a host share: a numbered place for each instead of a connection for each.

Every visit still answers the challenge with its own job key and seals every message itself; a place looks to it like a socket of
its own. The aggregator learns that these job keys are on one machine, as their network address says anyway (ADR 0064).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from wallets.agent.errors import ProtocolFault, Unreachable, WalletError
from wallets.agent.transport import FRAME_BYTES, Socket
from wallets.host.downloads import SharedDownloads

ROUNDS = "/ws/round/"
PLACES = 32
"""A server takes 64 on a socket. Half of that keeps what a phase says to all of them within what the kernel buffers while this process
computes. Numbers are not given twice, so a late frame never reaches another wallet."""
FRESH_SECONDS = 20.0
"""A challenge may be answered for a minute; nobody new comes to a line for longer than this."""


class PackedTransport(SharedDownloads):
    """The transport of a packed host: shared downloads, and shared sockets to the aggregator."""

    def __init__(self) -> None:
        super().__init__()
        self._rounds = RoundLines(super().websocket)

    async def websocket(self, url: str, *, max_frame: int = FRAME_BYTES) -> Socket:
        """As the ordinary transport; to the aggregator it is a place on a shared line."""
        if urlsplit(url).path != ROUNDS:
            return await super().websocket(url, max_frame=max_frame)
        return await self._rounds.place(url, max_frame)

    async def close(self) -> None:
        await self._rounds.close()
        await super().close()


class RoundLines:
    """The lines of a host. `connect(url, max_frame=…)` opens a socket."""

    def __init__(self, connect: Callable[..., Awaitable[Socket]]) -> None:
        self._connect = connect
        self._newest: dict[str, RoundLine] = {}
        self._lines: set[RoundLine] = set()
        self._opening = asyncio.Lock()

    async def place(self, url: str, max_frame: int) -> Place:
        """A place on the newest line to this address, or the first on a new one. Raises as connecting does."""
        async with self._opening:
            line = self._newest.get(url)
            if line is None or not line.has_room:
                if line is not None:
                    line.retire()
                line = self._newest[url] = RoundLine(
                    await self._connect(url, max_frame=max_frame), self._lines
                )
                await line.start()
            return line.take()

    async def close(self) -> None:
        """Close every line."""
        await asyncio.gather(*(line.close() for line in tuple(self._lines)))


class RoundLine:
    """One socket and the places on it."""

    def __init__(self, socket: Socket, lines: set[RoundLine]) -> None:
        self.socket = socket
        self._lines = lines
        self._began = asyncio.get_running_loop().time()
        self._challenge: dict[str, Any] = {}
        self._places: dict[int, Place] = {}
        self._next = 0
        self._retired = self._over = False
        self._reading: asyncio.Task[None] | None = None

    @property
    def has_room(self) -> bool:
        young = asyncio.get_running_loop().time() - self._began < FRESH_SECONDS
        return young and self._next < PLACES and not self._over

    async def start(self) -> None:
        """Wait for the challenge that all places answer. Raises Unreachable, ProtocolFault."""
        try:
            self._challenge = await self.socket.receive()
        except WalletError:
            await self.socket.close()
            raise
        self._lines.add(self)
        self._reading = asyncio.get_running_loop().create_task(self._read())

    def take(self) -> Place:
        """The next place."""
        place = self._places[self._next] = Place(self, self._next, self._challenge)
        self._next += 1
        return place

    def vacate(self, number: int) -> None:
        """A visit is over: the server hears it, and the last one switches off the light."""
        if self._places.pop(number, None) is not None and not self._over:
            self._spawn(self._tell(number))

    def retire(self) -> None:
        """Nobody comes to this line any more; it ends with its last visit."""
        self._retired = True
        if not self._places:
            self._spawn(self.close())

    async def close(self) -> None:
        self._over = True
        self._lines.discard(self)
        if self._reading is not None:
            self._reading.cancel()
        await self.socket.close()

    async def _tell(self, number: int) -> None:
        with suppress(Unreachable):
            await self.socket.send({"t": "leave", "s": number})
        if self._retired and not self._places:
            await self.close()

    async def _read(self) -> None:
        code = "cut"
        try:
            while True:
                message = await self.socket.receive()
                numbers = message.pop("s", None)
                if numbers is None:
                    # Said to the whole line: the server has no more to do with it.
                    raise ProtocolFault(str(message.get("text", "The line was ended.")), code="bad_frame")
                for number in numbers if isinstance(numbers, list) else (numbers,):
                    place = self._places.get(number) if isinstance(number, int) else None
                    if place is not None:
                        place.deliver(message)
        except WalletError as error:
            code = error.code
        finally:
            self._over = True
            for place in self._places.values():
                place.cut(code)
            self._spawn(self.close())

    def _spawn(self, work: Any) -> None:
        _background.add(task := asyncio.get_running_loop().create_task(work))
        task.add_done_callback(_background.discard)


class Place(Socket):
    """What a visit has for a socket: its own frames of a shared line, the line's challenge first."""

    def __init__(self, line: RoundLine, number: int, challenge: Mapping[str, Any]) -> None:
        self._line, self._number = line, number
        self._inbox: asyncio.Queue[dict[str, Any] | Unreachable] = asyncio.Queue()
        self._inbox.put_nowait(dict(challenge))
        self._gone: Unreachable | None = None

    async def send(self, message: Mapping[str, Any]) -> None:
        if self._gone is not None:
            raise self._gone
        await self._line.socket.send({**message, "s": self._number})

    async def receive(self) -> dict[str, Any]:
        if self._gone is not None and self._inbox.empty():
            raise self._gone
        found = await self._inbox.get()
        if isinstance(found, Unreachable):
            raise found
        return found

    async def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        """Leave the line, which stays for the others."""
        self.cut("cut")
        self._line.vacate(self._number)

    def deliver(self, message: dict[str, Any]) -> None:
        """A frame for this place has come."""
        self._inbox.put_nowait(message)

    def cut(self, code: str) -> None:
        """Nothing comes any more."""
        if self._gone is None:
            self._gone = Unreachable("The connection was cut.", code=code)
            self._inbox.put_nowait(self._gone)


_background: set[asyncio.Task[None]] = set()
