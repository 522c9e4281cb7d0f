"""The socket to the distributor: authenticate both ways, answer what comes, and come back after every cut.

This module moves frames (docs/protocol/interfaces.md, section 3); `inbox` decides. A slow decision (a holder thinking about
an offer) never delays the heartbeat: each frame that may take time is handled in a task of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from aggregation.secagg.errors import ProtocolError
from aggregation.wire import signing
from aggregation.wire.errors import WireError
from wallets.agent.errors import PeerNotTrusted, ProtocolFault, Unreachable, WalletError
from wallets.agent.refusals import Refusal
from wallets.agent.transport import Socket

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent

HELLO_VERSION = 1
CLOCK_SKEW_SECONDS = 300
SHORTEST_WAIT, LONGEST_WAIT = 0.5, 30.0
DISTRUSTED = 10
KEYLESS_SECONDS = 1.0
MISSED_HEARTBEATS = 3
DEFAULT_HEARTBEAT, LONGEST_HEARTBEAT = 30, 300
# What handling a frame raises when the frame is not what its type says.
MALFORMED = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError, WireError)
_NAMED = {
    "clock": Refusal.CLOCK_SKEW,
    "huge_frame": Refusal.HUGE_FRAME,
    "peer_not_trusted": Refusal.WRONG_SERVER,
}


class DistributorSession:
    """One agent's standing connection. `run` returns only when cancelled."""

    def __init__(self, agent: WalletAgent) -> None:
        self._agent = agent
        self._socket: Socket | None = None
        self._challenge: dict[str, Any] = {}
        self._heartbeat = DEFAULT_HEARTBEAT
        self._bound: set[bytes] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_hand: set[bytes] = set()
        self._sending = asyncio.Lock()
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Connect, serve, reconnect with growing, jittered pauses."""
        failures = 0
        try:
            while True:
                while not await self._agent.wire_keys():
                    await asyncio.sleep(KEYLESS_SECONDS)  # neither paired nor subscribed: nobody to be yet
                try:
                    await self._connect()
                    failures = 0
                    await self._serve()
                except (Unreachable, ProtocolFault) as error:
                    failures += 1
                    self._agent.event("disconnected", code=error.code)
                    await self._note(error)
                except PeerNotTrusted as error:
                    # Someone stands between, or the server changed its key. Ask again rarely; nothing was said to it.
                    failures = DISTRUSTED
                    self._agent.event("disconnected", code=error.code)
                    await self._note(error)
                finally:
                    await self._drop()
                await asyncio.sleep(self._pause(failures))
        finally:
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def bind(self) -> None:
        """Announce keys that were made after the socket opened (a new subscription, a pairing)."""
        if self._socket is None or not self.connected.is_set():
            return
        for kind, private in await self._agent.wire_keys():
            public = signing.public_key(private)
            if public not in self._bound:
                proof = signing.sign(private, b"cssi/v1/hello", self._proof_body())
                await self._send({"t": "bind", "kind": kind, "public": public, "sig": proof})
                self._bound.add(public)

    def abort(self) -> None:
        """Drop the socket at once, as a pulled cable would; `run` connects again."""
        if self._socket is not None:
            self._socket.abort()

    async def _connect(self) -> None:
        server = self._agent.server
        self._socket = await self._agent.transport.websocket(server.distributor_socket)
        self._challenge = await check_challenge(self._socket, server.distributor_key, self._agent.now())
        keys = []
        for kind, private in await self._agent.wire_keys():
            public = signing.public_key(private)
            keys.append([kind, public, signing.sign(private, b"cssi/v1/hello", self._proof_body())])
            self._bound.add(public)
        await self._send({"t": "hello", "version": HELLO_VERSION, "keys": keys})
        welcome = await self._socket.receive()
        if welcome["t"] != "welcome":
            raise ProtocolFault(
                str(welcome.get("text", "The server did not welcome this wallet.")), code="not_welcome"
            )
        heartbeat = welcome.get("heartbeat")
        if not isinstance(heartbeat, int):
            raise ProtocolFault("The server's welcome is malformed.", code="bad_frame")
        self._heartbeat = min(max(1, heartbeat), LONGEST_HEARTBEAT)
        self.connected.set()
        self._agent.event("connected")
        self._spawn(self._agent.flush_outgoing())

    async def _serve(self) -> None:
        assert self._socket is not None
        while True:
            try:
                async with asyncio.timeout(self._heartbeat * MISSED_HEARTBEATS):
                    message = await self._socket.receive()
            except TimeoutError:
                raise Unreachable("The server went silent.", code="silent") from None
            handler = self._HANDLERS.get(message["t"])
            if handler is None:
                continue  # a newer server may say more than this agent knows
            try:
                await handler(self, message)
            except (*MALFORMED, ProtocolError):
                await self._agent.note_refusal(Refusal.MALFORMED_FRAME)

    async def _note(self, error: WalletError) -> None:
        """A cut line is not worth a line in the journal; a server that misbehaves is."""
        refusal = _NAMED.get(error.code)
        if refusal is None and not isinstance(error, Unreachable):
            refusal = Refusal.MALFORMED_FRAME
        if refusal is not None:
            await self._agent.note_refusal(refusal)

    async def _on_ping(self, message: dict[str, Any]) -> None:
        await self._send({"t": "pong", "n": message["n"]})

    async def _on_mail(self, message: dict[str, Any]) -> None:
        ident, to, kind, body = message["id"], message["to"], message["kind"], message["body"]

        async def handle() -> None:
            try:
                outcome = await self._agent.inbox.on_mail(to=to, kind=kind, body=body)
            finally:
                self._in_hand.discard(ident)
            if outcome is not None:
                await self._send({"t": "ack", "id": ident, "outcome": outcome})

        if ident not in self._in_hand:  # delivered again after a cut while the holder still thinks about it
            self._in_hand.add(ident)
            self._spawn(handle())

    async def _on_job(self, message: dict[str, Any]) -> None:
        ident, to, body = message["id"], message["to"], message["body"]

        async def handle() -> None:
            enrolment = await self._agent.inbox.on_job(to=to, body=body)
            if enrolment is None:
                await self._send({"t": "decline", "id": ident, "code": "no"})
            else:
                await self._send({"t": "enrol", "id": ident, "body": enrolment})

        self._spawn(handle())

    async def _on_enrolled(self, message: dict[str, Any]) -> None:
        self._spawn(
            self._agent.inbox.on_enrolled(
                to=message["to"],
                job=message["job"],
                index=message["index"],
                size=message["size"],
                root=message["root"],
                proof=tuple(message["proof"]),
                signature=message["sig"],
            )
        )

    async def _on_invite(self, message: dict[str, Any]) -> None:
        ident, to, task, signature = message["id"], message["to"], message["task"], message["sig"]

        async def handle() -> None:
            refusal = await self._agent.inbox.on_invite(ident=ident, to=to, body=task, signature=signature)
            if refusal is None:
                await self._send({"t": "accept", "id": ident})
            else:
                await self._send({"t": "decline", "id": ident, "code": refusal})

        self._spawn(handle())

    async def _on_deliver(self, message: dict[str, Any]) -> None:
        self._agent.inbox.on_deliver(
            ident=message["id"],
            path=message["payload_url"],
            token=message["payload_token"],
            ticket=message["ticket"],
        )

    async def _on_cancelled(self, message: dict[str, Any]) -> None:
        await self._agent.inbox.on_cancelled(ident=message["id"], reason=str(message["reason"])[:40])

    async def _on_error(self, message: dict[str, Any]) -> None:
        self._agent.event("server_error", code=str(message["code"])[:40])

    _HANDLERS: dict[str, Callable[[DistributorSession, dict[str, Any]], Coroutine[Any, Any, None]]] = {
        "ping": _on_ping,
        "mail": _on_mail,
        "job": _on_job,
        "enrolled": _on_enrolled,
        "invite": _on_invite,
        "deliver": _on_deliver,
        "cancelled": _on_cancelled,
        "error": _on_error,
    }

    def _proof_body(self) -> dict[str, Any]:
        return {
            "nonce": self._challenge["nonce"],
            "time": self._challenge["time"],
            "server": self._challenge["key"],
        }

    async def _send(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            raise Unreachable("The connection was cut.", code="cut")
        async with self._sending:
            await self._socket.send(message)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Unreachable:
                pass  # what mattered is in the store; the server asks again after the reconnect
            except WalletError as error:
                self._agent.event("failed", code=error.code)
            except (*MALFORMED, ProtocolError):
                await self._agent.note_refusal(Refusal.MALFORMED_FRAME)

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drop(self) -> None:
        self.connected.clear()
        self._bound.clear()
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    def _pause(self, failures: int) -> float:
        ceiling: float = min(LONGEST_WAIT, SHORTEST_WAIT * 2 ** min(failures, 10))
        return ceiling / 2 + ceiling / 2 * int.from_bytes(self._agent.rng(2), "big") / 65_536


async def check_challenge(socket: Socket, pinned: bytes, now: int) -> dict[str, Any]:
    """The server's challenge, proven to come from the pinned key and to be fresh. Raises PeerNotTrusted."""
    challenge = await socket.receive()
    if challenge["t"] != "challenge":
        raise ProtocolFault(
            str(challenge.get("text", "The server did not introduce itself.")), code="no_challenge"
        )
    try:
        if challenge["key"] != pinned:
            raise PeerNotTrusted(
                "This server shows another key than the one pinned at pairing. Nothing was sent to it."
            )
        body = {"nonce": challenge["nonce"], "time": challenge["time"]}
        signing.verify(pinned, b"cssi/v1/challenge", body, challenge["sig"])
        if abs(challenge["time"] - now) > CLOCK_SKEW_SECONDS:
            raise Unreachable(
                "The server's clock and this machine's differ by more than five minutes. Set the clock.",
                code="clock",
            )
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError):
        raise ProtocolFault("The server's challenge is malformed.", code="bad_frame") from None
    except WireError:
        raise PeerNotTrusted(
            "The server could not prove the key pinned at pairing. Nothing was sent to it."
        ) from None
    return challenge
