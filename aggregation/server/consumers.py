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
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from aggregation.server import config, hub
from aggregation.server.errors import AggregatorError
from aggregation.server.services.ingest import Kind, Said, Seat
from aggregation.server.services.seats import Join
from aggregation.server.states import Step
from aggregation.wire import cbor, signing
from aggregation.wire.errors import CodecError, SealError, WireError
from aggregation.wire.sealing import Unsealer

LABEL_CHALLENGE = b"cssi/v1/challenge"
LABEL_JOIN = b"cssi/v1/join"
LABEL_SOCKET = b"cssi/v1/round-socket"
CANNOT_CODES = {"requirements", "declined", "failed"}
REFUSED = 4400
TOO_SLOW = 4408
SERVER_RESTARTS = 1012
FAILED = 1011


class Refusal(Exception):
    """Said to the wallet, then the socket closes."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Place:
    """One wallet at a socket: the connection the hub knows. A host's socket has numbered places, a wallet's own has one without a number."""

    def __init__(self, consumer: RoundConsumer, number: int | None) -> None:
        self.seat: Seat | None = None
        self.pushed: Step | None = None
        self.unsealer: Unsealer | None = None
        self._consumer, self._number = consumer, number
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(config.FRAMES_WAITING)
        self._serving: asyncio.Task[None] | None = None

    async def push(self, frame: dict[str, Any]) -> None:
        await self._consumer.push(frame if self._number is None else {**frame, "s": self._number})

    async def acknowledge(self, kind: Kind) -> None:
        """What this wallet said is stored."""
        if self._number is None:
            await self.push({"t": "ack", "of": kind.value})
        else:
            self._consumer.acknowledge(kind, self._number)

    def drop(self) -> None:
        """The socket is not read from, so whoever else is on it is not served either."""
        self._consumer.drop()

    async def take(self, message: dict[str, Any]) -> None:
        """Answer at once on a wallet's own socket; on a shared one in turn, so that no wallet waits for what another said to be stored.

        Raises:
            Refusal: more frames than a wallet has reason to send before it is answered.
        """
        if self._number is None:
            await self._consumer.answer(self, message)
            return
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            raise Refusal("too_fast", "Wait for the answer before sending more.") from None
        if self._serving is None:
            self._serving = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        try:
            while True:
                await self._consumer.answer(self, await self._waiting.get())
        except Exception:
            await self._consumer.end(FAILED)  # as an error on a wallet's own socket does
            raise

    async def refuse(self, refusal: Refusal) -> None:
        """Say why, and end: the whole socket where the wallet has it for itself, else its place."""
        await self.push({"t": "error", "code": refusal.code, "text": str(refusal)})
        if self._number is None:
            await self._consumer.end(REFUSED)
        else:
            self._consumer.vacate(self._number)

    def stop(self) -> None:
        if self._serving is not None:
            self._serving.cancel()


class RoundConsumer(AsyncWebsocketConsumer):
    # The hub holds one channel for the whole process; a channel per socket would be a broker subscription each.
    channel_layer_alias = "none"

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        """As Channels does, but without what a socket that no channel speaks to has no use for: two tasks for every frame to listen to
        both, and a thread hop for every frame to look for old database connections, as frames reach the database
        through the hub's own thread only."""
        self.scope, self.base_send = scope, send
        with suppress(StopConsumer):
            while True:
                message = await receive()
                await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        self._places: dict[int | None, Place] = {}
        self._stored: dict[Kind, list[int]] = {}  # not acknowledged yet
        self._hub = hub.current()
        self._challenge = {"nonce": os.urandom(32), "time": config.now()}
        await self.accept()
        signature = signing.sign(config.private_key(), LABEL_CHALLENGE, self._challenge)
        await self.push({"t": "challenge", **self._challenge, "key": config.public_key(), "sig": signature})
        self._timer = self._wait_for_somebody()

    def _wait_for_somebody(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(config.CHALLENGE_SECONDS, self._expire)

    def _expire(self) -> None:
        if not self._places:
            refusal = Refusal("challenge_expired", "The challenge has expired; connect again.")
            self._closing = asyncio.ensure_future(Place(self, None).refuse(refusal))

    async def disconnect(self, code: int) -> None:
        self._timer.cancel()
        for place in self._places.values():
            place.stop()
            if code != SERVER_RESTARTS:  # then everyone comes back to the next process, which adopts them
                self._hub.leave(place)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        place = Place(self, None)
        try:
            frame, number = self._numbered(bytes_data)
            if frame.get("t") == "leave":
                self.vacate(number)
                return
            if frame.get("t") == "next" and number not in self._places:
                # Sent before it was heard that this place was refused; or by somebody who never began.
                place = Place(self, number)
                raise Refusal("out_of_order", "Join once, before anything else.")
            message, unsealer = self._opened(frame, number)
            place = self._place(number)
            place.unsealer = unsealer
            await place.take(message)
        except Refusal as refusal:
            await place.refuse(refusal)

    def _numbered(self, data: bytes | None) -> tuple[dict[str, Any], int | None]:
        """A frame and the place it is for."""
        if data is None or len(data) > config.MAX_FRAME:
            raise Refusal("bad_frame", "Send binary frames of at most 64 KiB.")
        try:
            frame = cbor.decode(data)
        except CodecError:
            frame = None
        if not isinstance(frame, dict):
            raise Refusal("bad_frame", "The frame is not a sealed CBOR message.")
        number = frame.get("s")
        if number is not None and (type(number) is not int or not 0 <= number < config.PLACES_ON_A_SOCKET):
            raise Refusal("bad_frame", f"A place is a number below {config.PLACES_ON_A_SOCKET}.")
        return frame, number

    def _opened(self, frame: dict[str, Any], number: int | None) -> tuple[dict[str, Any], Unsealer]:
        """What a frame's seal held, and what opens the next frame of this place."""
        kind, known = frame.get("t"), self._places.get(number)
        try:
            if kind == "sealed":
                plain, unsealer = config.recipient().unsealer(LABEL_SOCKET, frame["b"])
            elif kind == "next" and known is not None and known.unsealer is not None:
                plain, unsealer = known.unsealer.unseal(frame["b"]), known.unsealer
            else:
                raise Refusal("not_sealed", "Seal every message to the aggregator's key.")
            message = cbor.decode(plain)
        except SealError:
            raise Refusal("cannot_unseal", "The message is not sealed to this aggregator's key.") from None
        except (CodecError, KeyError, TypeError):
            raise Refusal("bad_frame", "The frame is not a sealed CBOR message.") from None
        if not isinstance(message, dict):
            raise Refusal("bad_frame", "The sealed message must be a map.")
        return message, unsealer

    def _place(self, number: int | None) -> Place:
        """Raises:
        Refusal: a socket has either one wallet or numbered places.
        """
        place = self._places.get(number)
        if place is None:
            if self._places and (number is None or None in self._places):
                raise Refusal("bad_frame", "Number every frame of a shared socket, or none.")
            place = self._places[number] = Place(self, number)
        return place

    def vacate(self, number: int | None) -> None:
        """This wallet is gone, its socket stays for the others."""
        place = self._places.pop(number, None)
        if place is not None:
            self._hub.leave(place)
            if not self._places:
                self._timer.cancel()
                self._timer = self._wait_for_somebody()
            place.stop()  # may be the task that calls this, so last

    async def answer(self, place: Place, message: dict[str, Any]) -> None:
        """Do what a wallet asks, or refuse it and end its place."""
        try:
            kind = message.get("t")
            handler = self._HANDLERS.get(kind) if isinstance(kind, str) else None
            if handler is None:
                raise Refusal("bad_frame", "This type of message is not known.")
            if (place.seat is None) != (kind == "join"):
                raise Refusal("out_of_order", "Join once, before anything else.")
            await handler(self, place, message)
        except Refusal as refusal:
            await place.refuse(refusal)
        except (KeyError, TypeError, ValueError):
            await place.refuse(Refusal("bad_frame", "The fields are not what the protocol says."))

    async def _on_join(self, place: Place, message: dict[str, Any]) -> None:
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
        place.seat = seat
        await place.push({"t": "joined", "phase": "joined"})
        await self._hub.seat(place, seat)

    async def _on_receipt(self, place: Place, message: dict[str, Any]) -> None:
        await self._say(place, Kind.RECEIPT, body=_bytes(message["m"]))

    async def _on_cannot(self, place: Place, message: dict[str, Any]) -> None:
        if message["code"] not in CANNOT_CODES:
            raise Refusal("bad_frame", "The code is requirements, declined or failed.")
        await self._say(place, Kind.CANNOT, code=message["code"])

    async def _on_secagg(self, place: Place, message: dict[str, Any]) -> None:
        await self._say(place, Kind.MESSAGE, body=_bytes(message["m"]))

    async def _say(self, place: Place, kind: Kind, *, body: bytes = b"", code: str = "") -> None:
        assert place.seat is not None
        try:
            await self._hub.ingest.put(Said(kind=kind, seat=place.seat, body=body, code=code))
        except (AggregatorError, WireError) as error:
            await place.push({"t": "error", "code": error.code, "text": str(error)})
        else:
            await place.acknowledge(kind)

    _HANDLERS: dict[str, Callable[[RoundConsumer, Place, dict[str, Any]], Awaitable[None]]] = {
        "join": _on_join,
        "receipt": _on_receipt,
        "cannot": _on_cannot,
        "secagg": _on_secagg,
    }

    def acknowledge(self, kind: Kind, number: int) -> None:
        """Tell a place that what it said is stored; whoever else's was stored with it hears it in the same frame."""
        if not self._stored:
            # It begins in the loop's next turn, and a batch wakes all who wait for it in this one.
            self._acknowledging = asyncio.get_running_loop().create_task(self._acknowledge())
        self._stored.setdefault(kind, []).append(number)

    async def _acknowledge(self) -> None:
        stored, self._stored = self._stored, {}
        for kind, numbers in stored.items():
            await self.push({"t": "ack", "of": kind.value, "s": numbers})

    async def push(self, frame: dict[str, Any]) -> None:
        # A socket that was just cut is reported by `disconnect`; the wallets after it in the hub's line must still be served.
        with suppress(OSError):
            await self.send(bytes_data=cbor.encode(frame))

    def drop(self) -> None:
        """Close a socket that is not read from. Its wallets count as gone at once; closing waits for it to be read."""
        for place in self._places.values():
            self._hub.leave(place)
        self._closing = asyncio.ensure_future(self.end(TOO_SLOW))

    async def end(self, code: int) -> None:
        """Close the socket."""
        with suppress(OSError, RuntimeError):
            await self.close(code)


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("bytes expected")
    return value
