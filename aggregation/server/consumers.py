"""The round socket: a door, not a room. It opens the seal, checks who speaks, hands over, acknowledges after the commit.

Frames are in docs/protocol/interfaces.md, section 4.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer

from aggregation.server import config, hub
from aggregation.server.errors import AggregatorError
from aggregation.server.services.ingest import Kind, Said, Seat
from aggregation.server.services.seats import Join
from aggregation.server.states import Step
from aggregation.wire import cbor, signing
from aggregation.wire.errors import CodecError, SealError, WireError

LABEL_CHALLENGE = b"cssi/v1/challenge"
LABEL_JOIN = b"cssi/v1/join"
LABEL_SOCKET = b"cssi/v1/round-socket"
CANNOT_CODES = {"requirements", "declined", "failed"}
REFUSED = 4400
TOO_SLOW = 4408
SERVER_RESTARTS = 1012


class Refusal(Exception):
    """Said to the wallet, then the socket closes."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class RoundConsumer(AsyncWebsocketConsumer):
    # The hub holds one channel for the whole process; a channel per socket would be a broker subscription each.
    channel_layer_alias = "none"

    async def dispatch(self, message: Any) -> None:
        """As Channels does, but without looking for old database connections: that is a thread hop for every frame, and these
        frames reach the database through the hub's own thread only."""
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        self.seat: Seat | None = None
        self.pushed: Step | None = None
        self._hub = hub.current()
        self._challenge = {"nonce": os.urandom(32), "time": config.now()}
        await self.accept()
        signature = signing.sign(config.private_key(), LABEL_CHALLENGE, self._challenge)
        await self.push({"t": "challenge", **self._challenge, "key": config.public_key(), "sig": signature})
        self._timer = asyncio.get_running_loop().call_later(config.CHALLENGE_SECONDS, self._expire)

    def _expire(self) -> None:
        if self.seat is None:
            self._closing = asyncio.ensure_future(
                self._refuse("challenge_expired", "The challenge has expired; connect again.")
            )

    async def disconnect(self, code: int) -> None:
        self._timer.cancel()
        if code != SERVER_RESTARTS:  # then everyone comes back to the next process, which adopts them
            self._hub.leave(self)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            message = self._opened(bytes_data)
            kind = message.get("t")
            handler = self._HANDLERS.get(kind) if isinstance(kind, str) else None
            if handler is None:
                raise Refusal("bad_frame", "This type of message is not known.")
            if (self.seat is None) != (kind == "join"):
                raise Refusal("out_of_order", "Join once, before anything else.")
            await handler(self, message)
        except Refusal as refusal:
            await self._refuse(refusal.code, str(refusal))
        except (KeyError, TypeError, ValueError):
            await self._refuse("bad_frame", "The fields are not what the protocol says.")

    def _opened(self, data: bytes | None) -> dict[str, Any]:
        if data is None or len(data) > config.MAX_FRAME:
            raise Refusal("bad_frame", "Send binary frames of at most 64 KiB.")
        try:
            frame = cbor.decode(data)
            if frame["t"] != "sealed":
                raise Refusal("not_sealed", "Seal every message to the aggregator's key.")
            message = cbor.decode(config.recipient().unseal(LABEL_SOCKET, frame["b"]))
        except SealError:
            raise Refusal("cannot_unseal", "The message is not sealed to this aggregator's key.") from None
        except (CodecError, KeyError, TypeError):
            raise Refusal("bad_frame", "The frame is not a sealed CBOR message.") from None
        if not isinstance(message, dict):
            raise Refusal("bad_frame", "The sealed message must be a map.")
        return message

    async def _on_join(self, message: dict[str, Any]) -> None:
        if config.now() - self._challenge["time"] > config.CHALLENGE_SECONDS:
            raise Refusal("challenge_expired", "The challenge has expired; connect again.")
        job, number, job_key = message["job"], message["round"], message["job_key"]
        if not isinstance(job, bytes) or len(job) != 16 or not isinstance(number, int):
            raise Refusal("bad_frame", "A join names a job and a round.")
        body = {**self._challenge, "server": config.public_key(), "job": job, "round": number}
        try:
            signing.verify(job_key, LABEL_JOIN, body, message["sig"])
        except WireError:
            raise Refusal("bad_signature", "The signature does not answer this challenge.") from None
        try:
            seat = await self._hub.joins.put(Join(job=job, round=number, job_key=job_key, hub=self._hub.name))
        except AggregatorError as error:
            raise Refusal(error.code, str(error)) from None
        self.seat = seat
        await self.push({"t": "joined", "phase": "joined"})
        await self._hub.seat(self, seat)

    async def _on_receipt(self, message: dict[str, Any]) -> None:
        await self._say(Kind.RECEIPT, body=_bytes(message["m"]))

    async def _on_cannot(self, message: dict[str, Any]) -> None:
        if message["code"] not in CANNOT_CODES:
            raise Refusal("bad_frame", "The code is requirements, declined or failed.")
        await self._say(Kind.CANNOT, code=message["code"])

    async def _on_secagg(self, message: dict[str, Any]) -> None:
        await self._say(Kind.MESSAGE, body=_bytes(message["m"]))

    async def _say(self, kind: Kind, *, body: bytes = b"", code: str = "") -> None:
        assert self.seat is not None
        try:
            await self._hub.ingest.put(Said(kind=kind, seat=self.seat, body=body, code=code))
        except (AggregatorError, WireError) as error:
            await self.push({"t": "error", "code": error.code, "text": str(error)})
        else:
            await self.push({"t": "ack", "of": kind.value})

    _HANDLERS: dict[str, Callable[[RoundConsumer, dict[str, Any]], Awaitable[None]]] = {
        "join": _on_join,
        "receipt": _on_receipt,
        "cannot": _on_cannot,
        "secagg": _on_secagg,
    }

    async def push(self, frame: dict[str, Any]) -> None:
        # A socket that was just cut is reported by `disconnect`; the wallets after it in the hub's line must still be served.
        with suppress(OSError):
            await self.send(bytes_data=cbor.encode(frame))

    def drop(self) -> None:
        """Close a socket whose wallet does not read. It counts as gone at once; closing waits for it to read."""
        self._hub.leave(self)
        self._closing = asyncio.ensure_future(self._leave())

    async def _leave(self) -> None:
        with suppress(OSError, RuntimeError):
            await self.close(TOO_SLOW)

    async def _refuse(self, code: str, sentence: str) -> None:
        await self.push({"t": "error", "code": code, "text": sentence})
        with suppress(OSError, RuntimeError):
            await self.close(REFUSED)


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("bytes expected")
    return value
