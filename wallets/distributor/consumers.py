"""The wallet socket: a door, not a room. It authenticates, decodes, hands over, and answers with one kind of error.

Frames are in docs/protocol/interfaces.md, section 3.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import lru_cache
from typing import Any

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from aggregation.wire import cbor, signing
from aggregation.wire.errors import CodecError, WireError
from wallets.distributor import config, hub
from wallets.distributor.errors import DistributorError
from wallets.distributor.services.answers import Answer, Verb

LABEL_CHALLENGE = b"cssi/v1/challenge"
LABEL_HELLO = b"cssi/v1/hello"
VERSION = 1
MAX_KEYS = 256
ANSWERS_AT_ONCE = MAX_KEYS
"""What the wallets of one socket may have said that is not stored yet; beyond it the socket is not read."""
KINDS = {"mailbox", "subscription"}
REFUSED, TOO_SLOW, FAILED = 4400, 4408, 1011
_CHALLENGE = cbor.encode("challenge")


@lru_cache(maxsize=4)
def _welcome(heartbeat: int) -> bytes:
    return cbor.encode({"t": "welcome", "heartbeat": heartbeat})


class Refusal(Exception):
    """Said to the wallet, then the socket closes."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class WalletConsumer(AsyncWebsocketConsumer):
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
        self.keys: set[str] = set()
        self.sent: set[tuple[str, int, str]] = set()
        self._hub = hub.current()
        self._greeted = False
        self._ping = 0
        self._pong = 0
        self._storing: set[asyncio.Future[None]] = set()
        self._proven_keys: frozenset[str] = frozenset()
        self._challenged = config.now()
        # Encoded once: the same two values are signed here, sent, and signed by the wallet.
        self._challenge = {"nonce": cbor.encode(os.urandom(32)), "time": cbor.encode(self._challenged)}
        await self.base_send({"type": "websocket.accept"})
        signature = signing.sign_encoded(config.private_key(), LABEL_CHALLENGE, cbor.join(self._challenge))
        rest = {"key": cbor.encode(config.public_key()), "sig": cbor.encode(signature)}
        await self.push(cbor.join({"t": _CHALLENGE, **self._challenge, **rest}))
        self._timer = asyncio.get_running_loop().call_later(config.CHALLENGE_SECONDS, self._expire)

    def _expire(self) -> None:
        if not self._greeted:
            self._closing = asyncio.ensure_future(
                self._refuse("challenge_expired", "The challenge has expired; connect again.")
            )

    async def disconnect(self, code: int) -> None:
        self._timer.cancel()
        self._hub.remove(self)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            await self._handle(bytes_data)
        except Refusal as refusal:
            await self._refuse(refusal.code, str(refusal))

    async def _handle(self, data: bytes | None) -> None:
        if data is None or len(data) > config.MAX_FRAME:
            raise Refusal("bad_frame", "Send binary frames of at most 64 KiB.")
        try:
            message = cbor.decode(data)
            kind = message["t"]
            handler = self._HANDLERS[kind]
        except (CodecError, TypeError, KeyError):
            raise Refusal("bad_frame", "The frame is not a known CBOR message.") from None
        if not self._greeted and kind != "hello":
            raise Refusal("hello_first", "Answer the challenge with hello first.")
        try:
            await handler(self, message)
        except (KeyError, TypeError, ValueError):
            raise Refusal("bad_frame", f"The fields of {kind} are not what the protocol says.") from None

    # what a wallet says

    async def _on_hello(self, message: dict[str, Any]) -> None:
        if self._greeted or message["version"] != VERSION:
            raise Refusal("bad_version", f"This server speaks version {VERSION}; say hello once.")
        if not 1 <= len(message["keys"]) <= MAX_KEYS:
            raise Refusal("bad_frame", f"Say hello with 1 to {MAX_KEYS} keys.")
        keys = {self._proven(kind, public, signature) for kind, public, signature in message["keys"]}
        self._greeted = True
        self._hub.add(self)
        await self.push(_welcome(config.HEARTBEAT_SECONDS))
        await self._hub.bind(self, keys)

    async def _on_bind(self, message: dict[str, Any]) -> None:
        if len(self.keys) >= MAX_KEYS:
            raise Refusal("too_many_keys", f"One socket serves at most {MAX_KEYS} keys.")
        key = self._proven(message["kind"], message["public"], message["sig"])
        self.keys.add(key)
        await self._meanwhile(self._hub.bind(self, {key}))

    def _proven(self, kind: str, public: bytes, signature: bytes) -> str:
        if config.now() - self._challenged > config.CHALLENGE_SECONDS and not self._greeted:
            raise Refusal("challenge_expired", "The challenge has expired; connect again.")
        if kind not in KINDS:
            raise Refusal("bad_frame", "A key is of kind mailbox or subscription.")
        body = cbor.join({**self._challenge, "server": cbor.encode(config.public_key())})
        try:
            # Mail and questions are looked up by keys that were checked when they paired or subscribed; any other gets nothing.
            signing.verify_encoded(public, LABEL_HELLO, body, signature, registered=True)
        except WireError:
            raise Refusal("bad_signature", "A key's signature does not answer this challenge.") from None
        return public.hex()

    async def _on_pong(self, message: dict[str, Any]) -> None:
        if message["n"] == self._ping:
            self._pong = self._ping

    async def _on_ack(self, message: dict[str, Any]) -> None:
        await self._answer(Verb.ACK, message["id"], outcome=str(message["outcome"]))

    async def _on_enrol(self, message: dict[str, Any]) -> None:
        await self._answer(Verb.ENROL, message["id"], body=bytes(message["body"]))

    async def _on_accept(self, message: dict[str, Any]) -> None:
        await self._answer(Verb.ACCEPT, message["id"])

    async def _on_decline(self, message: dict[str, Any]) -> None:
        await self._answer(Verb.DECLINE, message["id"])

    async def _answer(self, verb: Verb, ident: Any, *, outcome: str = "", body: bytes = b"") -> None:
        if len(self._proven_keys) != len(self.keys):  # keys only ever come
            self._proven_keys = frozenset(self.keys)
        answer = Answer(verb=verb, ident=ident, keys=self._proven_keys, outcome=outcome, body=body)
        await self._room()
        stored = self._hub.answers.add(answer)
        self._storing.add(stored)
        stored.add_done_callback(self._stored)

    def _stored(self, answer: asyncio.Future[None]) -> None:
        self._storing.discard(answer)
        if not answer.cancelled() and (error := answer.exception()) is not None:
            self._start(self._tell(error))

    async def _tell(self, error: BaseException) -> None:
        if not isinstance(error, DistributorError | WireError):
            raise error
        await self.push({"t": "error", "code": error.code, "text": str(error)})

    async def _meanwhile(self, work: Coroutine[Any, Any, None]) -> None:
        await self._room()
        self._start(work)

    async def _room(self) -> None:
        """The socket of a host speaks for many wallets: one of them does not wait until what another said is stored."""
        while len(self._storing) >= ANSWERS_AT_ONCE:
            await asyncio.wait(self._storing, return_when=asyncio.FIRST_COMPLETED)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._or_end(work))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    async def _or_end(self, work: Coroutine[Any, Any, None]) -> None:
        """What could not be stored will be asked again on the wallets' next socket."""
        try:
            await work
        except Exception:
            with suppress(OSError, RuntimeError):
                await self.close(FAILED)
            raise

    _HANDLERS: dict[str, Callable[[WalletConsumer, dict[str, Any]], Awaitable[None]]] = {
        "hello": _on_hello,
        "bind": _on_bind,
        "pong": _on_pong,
        "ack": _on_ack,
        "enrol": _on_enrol,
        "accept": _on_accept,
        "decline": _on_decline,
    }

    # what the hub asks of a connection

    async def push(self, frame: dict[str, Any] | bytes) -> None:
        # A socket that was just cut is reported by `disconnect`; the wallets after it in the hub's line must still be served.
        with suppress(OSError):
            data = frame if isinstance(frame, bytes) else cbor.encode(frame)
            await self.base_send({"type": "websocket.send", "bytes": data})

    async def beat(self) -> bool:
        if self._pong != self._ping:
            return False
        self._ping = int.from_bytes(os.urandom(6), "big") | 1
        await self.push({"t": "ping", "n": self._ping})
        return True

    async def drop(self) -> None:
        with suppress(OSError, RuntimeError):
            await self.close(TOO_SLOW)

    async def _refuse(self, code: str, sentence: str) -> None:
        await self.push({"t": "error", "code": code, "text": sentence})
        with suppress(OSError, RuntimeError):
            await self.close(REFUSED)
