"""The client's side of a WebSocket (RFC 6455) with as little Python as the protocol allows: ten thousand of them share a processor with
the server that is measured.

The handshake is whole: a fresh key, and the answer to it is checked. Frames are binary, unfragmented, masked anew each time; pings are
answered. Whatever else a server may send ends the connection, for the platform sends none of it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import Callable
from typing import cast

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BINARY, CLOSE, PING, PONG = 2, 8, 9, 10
HEADER_END = b"\r\n\r\n"


class Socket(asyncio.Protocol):
    """One connection. `heard` gets each message, `ended` is called once when the connection is over."""

    def __init__(
        self, host: str, path: str, heard: Callable[[bytes], None], ended: Callable[[], None]
    ) -> None:
        self._host, self._path, self._heard, self._ended = host, path, heard, ended
        self._transport: asyncio.Transport | None = None
        self._key = b""
        self.open = False
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._key = base64.b64encode(os.urandom(16))
        self._transport.write(
            b"GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n"
            % (self._path.encode(), self._host.encode(), self._key)
        )

    def data_received(self, data: bytes) -> None:
        self._rest = self._rest + data if self._rest else data
        if not self.open:
            head, found, rest = self._rest.partition(HEADER_END)
            if not found:
                return
            if not accepted(head, self._key):
                self.close()
                return
            self.open, self._rest = True, rest
        at = 0
        while (frame := read(self._rest, at)) is not None:
            opcode, payload, at = frame
            if opcode == BINARY:
                self._heard(payload)
            elif opcode == PING:
                self._write(PONG, payload)
            else:
                self.close()
                return
        self._rest = self._rest[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()

    def send(self, message: bytes) -> None:
        """One binary message."""
        self._write(BINARY, message)

    def close(self) -> bool:
        """Say so and end, without waiting for the answer; False if there was never a connection."""
        if self._transport is None:
            return False
        if not self._transport.is_closing():
            self._write(CLOSE, b"\x03\xe8")
            self._transport.close()
        return True

    def _write(self, opcode: int, payload: bytes) -> None:
        assert self._transport is not None
        self._transport.write(framed(opcode, payload, os.urandom(4)))


def accepted(head: bytes, key: bytes) -> bool:
    """Whether this is the answer to a handshake with this key."""
    first, *lines = head.split(b"\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    expected = base64.b64encode(hashlib.sha1(key + MAGIC, usedforsecurity=False).digest())
    return first.startswith(b"HTTP/1.1 101 ") and fields.get(b"sec-websocket-accept") == expected


def framed(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """A whole message as a client sends it, at most 64 KiB.

    Raises:
        ValueError: it is longer; the platform takes no longer frame.
    """
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        raise ValueError("a frame holds at most 64 KiB")
    pad = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + mask + masked.to_bytes(size, "big")


def read(data: bytes, at: int) -> tuple[int, bytes, int] | None:
    """(opcode, payload, where the next frame begins) of a server's frame; None while a part of it is missing.

    A fragment, which the platform never sends, reads as a close.
    """
    left = len(data) - at
    if left < 2:
        return None
    opcode, size, start = data[at], data[at + 1], at + 2
    if size == 126:
        size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
    elif size == 127:
        size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
    if len(data) < start or len(data) < start + size:
        return None
    return (opcode & 0x7F if opcode & 0x80 else CLOSE), data[start : start + size], start + size
