"""The line of one visit to the aggregator: join with the job key, seal everything, move frames into an inbox."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from aggregation.wire import cbor, sealing, signing
from wallets.agent.errors import PeerNotTrusted, Unreachable, WalletError
from wallets.agent.material import Material
from wallets.agent.messages import Visit
from wallets.agent.session import check_challenge
from wallets.agent.transport import ROUND_FRAME_BYTES, Socket

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent

SEAL_SOCKET = b"cssi/v1/round-socket"


class Step(StrEnum):
    """Points of a visit that observers (events, the host's fault plan) can see. Named for what has just been sent."""

    JOINED = "joined"
    RECEIPT = "receipt"
    TRAINED = "trained"
    ADVERTISE = "advertise"
    SHARE_KEYS = "share_keys"
    MASKED_INPUT = "masked_input"
    CONSISTENCY = "consistency"
    UNMASK = "unmask"
    DONE = "done"


class VisitOver(Exception):
    """The visit ends here; `code` goes to the journal."""

    def __init__(self, code: str, sentence: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.sentence = sentence


class RoundLine:
    """Joining, sending and hanging up. `_inbox` gets every frame of the socket, and {"t": "cut"} when it ends."""

    def __init__(self, agent: WalletAgent, visit: Visit) -> None:
        self.agent = agent
        self.visit = visit
        self._socket: Socket | None = None
        self._sealer: sealing.Sealer | None = None
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._material: Material | None = None

    async def stepped(self, step: Step) -> None:
        """Something has just happened. The base class only tells observers."""
        self.agent.event("step", step=step.value, round=self.visit.task.round)

    async def _join(self) -> None:
        server = self.agent.server
        socket = await self.agent.transport.websocket(server.aggregator_socket, max_frame=ROUND_FRAME_BYTES)
        self._inbox, self._socket, self._sealer = asyncio.Queue(), socket, None
        try:
            challenge = await check_challenge(socket, server.aggregator_key, self.agent.now())
            private = self._held().job_key
            proof = {
                "nonce": challenge["nonce"],
                "time": challenge["time"],
                "server": challenge["key"],
                "job": self.visit.task.job,
                "round": self.visit.task.round,
            }
            await self._send(
                {
                    "t": "join",
                    "job": self.visit.task.job,
                    "round": self.visit.task.round,
                    "job_key": signing.public_key(private),
                    "sig": signing.sign(private, b"cssi/v1/join", proof),
                }
            )
            joined = await socket.receive()
        except PeerNotTrusted:
            await self._hang_up()
            raise
        if joined["t"] != "joined":
            raise VisitOver(
                str(joined.get("code", "not_joined"))[:40], "The aggregator did not let this wallet join."
            )
        self.agent.spawn(_pump(socket, self._inbox))
        await self.stepped(Step.JOINED)

    async def _send(self, message: Mapping[str, Any]) -> None:
        """Seal to the aggregator's pinned key and send; one key for everything said over a socket."""
        if self._socket is None:
            raise Unreachable("The connection was cut.", code="cut")
        kind = "next"
        if self._sealer is None:
            kind, key = "sealed", self.agent.server.aggregator_seal_key
            self._sealer = sealing.Sealer(key, SEAL_SOCKET, self.agent.rng)
        await self._socket.send({"t": kind, "b": self._sealer.seal(cbor.encode(dict(message)))})

    def _held(self) -> Material:
        assert self._material is not None
        return self._material

    def _drop_socket(self) -> None:
        socket, self._socket, self._sealer = self._socket, None, None
        if socket is not None:
            socket.abort()

    async def _hang_up(self) -> None:
        socket, self._socket, self._sealer = self._socket, None, None
        if socket is not None:
            await socket.close()


async def _pump(socket: Socket, inbox: asyncio.Queue[dict[str, Any]]) -> None:
    """Move frames into the inbox until the socket ends; the end is a message too."""
    try:
        while True:
            message = await socket.receive()
            if message["t"] not in {"trained", "cut"}:  # our own words cannot come from outside
                await inbox.put(message)
    except WalletError as error:
        await inbox.put({"t": "cut", "code": error.code})
