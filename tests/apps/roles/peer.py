"""A raw socket to one consumer of either server, for frames that no wallet would send."""

from __future__ import annotations

import os
from typing import Any

from channels.testing import WebsocketCommunicator

from aggregation.server import config
from aggregation.wire import cbor, sealing, signing


class Peer:
    """A raw socket to one consumer, after its challenge."""

    def __init__(self, consumer: Any) -> None:
        self.socket = WebsocketCommunicator(consumer.as_asgi(), "/ws/")
        self._sealers: dict[Any, sealing.Sealer] = {}

    async def __aenter__(self) -> Peer:
        assert (await self.socket.connect())[0]
        self.challenge = await self.receive()
        assert self.challenge["t"] == "challenge"
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.socket.disconnect()

    async def receive(self) -> dict[str, Any]:
        return dict(cbor.decode(await self.socket.receive_from(timeout=5)))

    async def send(self, message: dict[str, Any] | bytes) -> None:
        data = message if isinstance(message, bytes) else cbor.encode(message)
        await self.socket.send_to(bytes_data=data)

    async def greet(self) -> None:
        """Say hello with a new key, and be welcome."""
        await self.send(self.hello(signing.generate(os.urandom)))
        assert (await self.receive())["t"] == "welcome"

    async def refused_at(self, place: int, code: str) -> None:
        """This place is refused, and the socket stays."""
        answer = await self.receive()
        assert (answer["t"], answer["code"], answer["s"]) == ("error", code, place)

    async def refused(self, code: str) -> None:
        answer = await self.receive()
        assert (answer["t"], answer["code"]) == ("error", code)
        assert (await self.socket.receive_output(timeout=5))["type"] == "websocket.close"

    def hello(self, secret: Any, **changed: Any) -> dict[str, Any]:
        body = {
            "nonce": self.challenge["nonce"],
            "time": self.challenge["time"],
            "server": self.challenge["key"],
        }
        proof = signing.sign(secret, b"cssi/v1/hello", body | changed)
        return {"t": "hello", "version": 1, "keys": [["mailbox", signing.public_key(secret), proof]]}

    async def seal(self, message: Any, *, key: bytes | None = None, place: Any = None) -> None:
        recipient = key or config.sealing_public_key()
        self._sealers[place] = sealing.Sealer(recipient, b"cssi/v1/round-socket", os.urandom)
        await self._sealed("sealed", message, place)

    async def seal_next(self, message: Any, *, place: Any = None) -> None:
        """With the key of this place's last `seal`."""
        await self._sealed("next", message, place)

    async def _sealed(self, kind: str, message: Any, place: Any) -> None:
        body = self._sealers[place].seal(cbor.encode(message))
        await self.send({"t": kind, "b": body} | ({} if place is None else {"s": place}))
