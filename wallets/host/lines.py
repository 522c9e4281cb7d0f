"""Standing connections that many wallets of one host share: one socket to the distributor for up to 250 keys.

The protocol lets a socket prove several keys (docs/protocol/interfaces.md, section 3: `hello` and `bind`). A host that keeps a hundred
thousand wallets so holds some four hundred sockets in place of as many as it has wallets, and one heartbeat each. The server
learns that these keys are hosted together, which their common network address says as well. Every key signs the challenge itself,
and every frame goes to the wallet it is for; nothing else is shared.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aggregation.secagg.errors import ProtocolError
from aggregation.wire import signing
from aggregation.wire.secret import Secret
from wallets.agent.errors import PeerNotTrusted, ProtocolFault, Unreachable
from wallets.agent.refusals import Refusal
from wallets.agent.session import (
    DEFAULT_HEARTBEAT,
    DISTRUSTED,
    HELLO_VERSION,
    LONGEST_HEARTBEAT,
    LONGEST_WAIT,
    MALFORMED,
    MISSED_HEARTBEATS,
    SHORTEST_WAIT,
    DistributorSession,
    check_challenge,
)
from wallets.agent.transport import Socket

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent

KEYS_PER_LINE = 250
"""A server takes at most 256 keys on a socket."""
KNOWN_QUESTIONS = 4 * KEYS_PER_LINE


class LineSession(DistributorSession):
    """A wallet's session over a shared line. Its keys are read once and kept while it runs, as its store may be closed meanwhile."""

    def __init__(self, agent: WalletAgent, line: Line) -> None:
        super().__init__(agent)
        self.line = line
        self.keys: list[tuple[str, Secret]] = []
        self._off = asyncio.Event()

    async def take_keys(self) -> None:
        """Read the keys this wallet is reached by."""
        self.keys = await self._agent.wire_keys()

    async def run(self) -> None:
        """Stay on the line until cancelled; come back to it after an abort."""
        try:
            while True:
                self._off.clear()
                await self.take_keys()
                await self.line.join(self)
                await self._off.wait()
                await asyncio.sleep(SHORTEST_WAIT)
        finally:
            self.line.leave(self)
            await self.end_tasks()

    async def bind(self) -> None:
        """Announce keys that were made since."""
        before = {signing.public_key(private) for _, private in self.keys}
        await self.take_keys()
        fresh = [pair for pair in self.keys if signing.public_key(pair[1]) not in before]
        if fresh and self in self.line.members:
            await self.line.bind(self, fresh)

    def abort(self) -> None:
        """Others are on this line; only this wallet leaves it, and comes back as after a cut."""
        self.line.leave(self)
        self._off.set()

    def attached(self, socket: Socket | None) -> None:
        """The line has this socket now (None: it was cut)."""
        self._socket = socket
        if socket is None:
            self.connected.clear()
            return
        self.connected.set()
        self._agent.event("connected")
        self._spawn(self._agent.flush_outgoing())

    async def take(self, message: dict[str, Any]) -> None:
        """Handle one frame that is for this wallet."""
        handler = self._HANDLERS.get(message["t"])
        if handler is None:
            return
        try:
            await handler(self, message)
        except (*MALFORMED, ProtocolError):
            await self._agent.note_refusal(Refusal.MALFORMED_FRAME)

    async def end_tasks(self) -> None:
        """Stop what is still being decided."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Line:
    """One socket and the wallets on it. `run` returns only when cancelled."""

    def __init__(self, now: Callable[[], int], rng: Callable[[int], bytes]) -> None:
        self.members: set[LineSession] = set()
        self._now, self._rng = now, rng
        self._by_key: dict[bytes, LineSession] = {}
        self._by_question: OrderedDict[bytes, LineSession] = OrderedDict()
        self._socket: Socket | None = None
        self._challenge: dict[str, Any] = {}
        self._heartbeat = DEFAULT_HEARTBEAT
        self._welcomed = False
        self._anyone = asyncio.Event()

    @property
    def keys(self) -> int:
        """How many keys are on this line."""
        return len(self._by_key)

    async def join(self, session: LineSession) -> None:
        """Take a wallet on; at once when the line is up, else with its next hello."""
        self.members.add(session)
        await self.bind(session, session.keys)

    async def bind(self, session: LineSession, keys: list[tuple[str, Secret]]) -> None:
        """Announce further keys of a member."""
        for _, private in keys:
            self._by_key[signing.public_key(private)] = session
        if keys:
            self._anyone.set()
        if not self._welcomed or self._socket is None:
            return
        with suppress(Unreachable):  # then the next hello says it
            for kind, private in keys:
                public, proof = signing.public_key(private), self._proof(private)
                await self._socket.send({"t": "bind", "kind": kind, "public": public, "sig": proof})
            session.attached(self._socket)

    def leave(self, session: LineSession) -> None:
        """Nothing goes to this wallet any more; its keys are given up with the next hello."""
        self.members.discard(session)
        session.attached(None)
        self._by_key = {key: who for key, who in self._by_key.items() if who is not session}

    async def run(self) -> None:
        """Connect when there is somebody to connect for, serve, come back after every cut."""
        failures = 0
        while True:
            await self._anyone.wait()
            if not self.members:
                self._anyone.clear()
                continue
            try:
                await self._connect()
                failures = 0
                await self._serve()
            except PeerNotTrusted:
                failures = DISTRUSTED
            except (Unreachable, ProtocolFault):
                failures += 1
            finally:
                await self._drop()
            await asyncio.sleep(self._pause(failures))

    async def _connect(self) -> None:
        agent = next(iter(self.members))._agent
        self._socket = await agent.transport.websocket(agent.server.distributor_socket)
        self._challenge = await check_challenge(self._socket, agent.server.distributor_key, self._now())
        said = set(self.members)
        keys = [
            [kind, signing.public_key(private), self._proof(private)]
            for member in said
            for kind, private in member.keys
        ]
        await self._socket.send({"t": "hello", "version": HELLO_VERSION, "keys": keys})
        welcome = await self._socket.receive()
        if welcome["t"] != "welcome" or not isinstance(welcome.get("heartbeat"), int):
            raise ProtocolFault("The server did not welcome these wallets.", code="not_welcome")
        self._heartbeat = min(max(1, welcome["heartbeat"]), LONGEST_HEARTBEAT)
        self._welcomed = True
        for member in said & self.members:
            member.attached(self._socket)
        for late in self.members - said:
            await self.bind(late, late.keys)

    async def _serve(self) -> None:
        assert self._socket is not None
        while True:
            try:
                async with asyncio.timeout(self._heartbeat * MISSED_HEARTBEATS):
                    message = await self._socket.receive()
            except TimeoutError:
                raise Unreachable("The server went silent.", code="silent") from None
            if message["t"] == "ping":
                await self._socket.send({"t": "pong", "n": message.get("n")})
                continue
            session = self._meant(message)
            if session is not None:
                await session.take(message)

    def _meant(self, message: dict[str, Any]) -> LineSession | None:
        """Who a frame is for: by the key it names, or by the question it answers to."""
        ident, to = message.get("id"), message.get("to")
        if isinstance(to, bytes):
            session = self._by_key.get(to)
            if session is not None and message["t"] == "invite" and isinstance(ident, bytes):
                self._by_question[ident] = session
                if len(self._by_question) > KNOWN_QUESTIONS:
                    self._by_question.popitem(last=False)
            return session
        return self._by_question.get(ident) if isinstance(ident, bytes) else None

    def _proof(self, private: Secret) -> bytes:
        body = {
            "nonce": self._challenge["nonce"],
            "time": self._challenge["time"],
            "server": self._challenge["key"],
        }
        return signing.sign(private, b"cssi/v1/hello", body)

    async def _drop(self) -> None:
        self._welcomed = False
        socket, self._socket = self._socket, None
        for member in tuple(self.members):
            member.attached(None)
        if socket is not None:
            await socket.close()

    def _pause(self, failures: int) -> float:
        ceiling: float = min(LONGEST_WAIT, SHORTEST_WAIT * 2 ** min(failures, 10))
        return ceiling / 2 + ceiling / 2 * int.from_bytes(self._rng(2), "big") / 65_536


class Lines:
    """As many lines as the wallets need."""

    def __init__(self, now: Callable[[], int], rng: Callable[[int], bytes]) -> None:
        self._now, self._rng = now, rng
        self._lines: list[tuple[Line, asyncio.Task[None]]] = []
        self._room = 0  # on the last line

    def __len__(self) -> int:
        return len(self._lines)

    def session(self, agent: WalletAgent, keys: int = 2) -> LineSession:
        """A session for this wallet on a line with room: a mailbox key and a subscription key are counted for each."""
        if self._room < keys:
            fresh = Line(self._now, self._rng)
            self._lines.append((fresh, asyncio.get_running_loop().create_task(fresh.run())))
            self._room = KEYS_PER_LINE
        self._room -= keys
        return LineSession(agent, self._lines[-1][0])

    async def close(self) -> None:
        """End every line."""
        for _, task in self._lines:
            task.cancel()
        await asyncio.gather(*(task for _, task in self._lines), return_exceptions=True)
        self._lines.clear()
