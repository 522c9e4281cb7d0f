"""A loopback proxy that keeps every byte of both directions, and that can be switched off like a server that is down."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from marketplace.demo.isolation import free_port

UPGRADED = b"\r\nupgrade: websocket"


@dataclass
class Conversation:
    """One connection. `up`: what the client sent; `down`: what the server answered."""

    up: bytearray = field(default_factory=bytearray)
    down: bytearray = field(default_factory=bytearray)

    @property
    def path(self) -> str:
        """Of its first request."""
        first = bytes(self.up.split(b"\r\n", 1)[0]).decode("latin-1").split(" ")
        return first[1] if len(first) > 2 else ""

    @property
    def is_socket(self) -> bool:
        return UPGRADED in bytes(self.up[:4096]).lower()

    def frames_up(self) -> list[bytes]:
        """Whole messages of the client's websocket, the transport's XOR taken off."""
        return list(_frames(bytes(self.up)))

    def frames_down(self) -> list[bytes]:
        return list(_frames(bytes(self.down)))

    def readable(self) -> bytes:
        """All that somebody on the line could read of this connection."""
        if self.is_socket:
            return b"\n".join([*self.frames_up(), *self.frames_down()])
        return bytes(self.up + self.down)


class Proxy:
    """Listens on `port` and passes everything on to `target`. One thread, started by `open`."""

    def __init__(self, target: int) -> None:
        self.port, self._target = free_port(), target
        self.conversations: list[Conversation] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Answer from now on."""
        self._do(self._open())

    def close(self) -> None:
        """As if the machine behind were off: open connections are cut, new ones refused."""
        self._do(self._close())

    def end(self) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind, ahead = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        kept = Conversation()
        self.conversations.append(kept)
        self._writers |= {writer, ahead}
        try:
            await asyncio.gather(_pass(reader, ahead, kept.up), _pass(behind, writer, kept.down))
        finally:
            self._writers -= {writer, ahead}
            writer.transport.abort()
            ahead.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
    try:
        while chunk := await reader.read(65536):
            kept += chunk
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


def _frames(raw: bytes) -> Iterator[bytes]:
    """Data messages after the upgrade's headers (RFC 6455 section 5.2); fragments are joined, control frames left out."""
    at, message = raw.find(b"\r\n\r\n") + 4, b""
    while at + 2 <= len(raw):
        first, second = raw[at], raw[at + 1]
        length, at = second & 0x7F, at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(raw[at : at + size], "big"), at + size
        mask = b""
        if second & 0x80:
            mask, at = raw[at : at + 4], at + 4
        body, at = raw[at : at + length], at + length
        if len(body) < length:
            return  # cut in the middle
        if mask:
            pattern = mask * (length // 4 + 1)
            body = (int.from_bytes(body, "big") ^ int.from_bytes(pattern[:length], "big")).to_bytes(
                length, "big"
            )
        if first & 0x0F < 8:
            message += body
            if first & 0x80:
                yield message
                message = b""
