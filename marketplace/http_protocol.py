"""How a server process reads from its HTTP connections: little from those that nobody reads on.

uvicorn takes what is there, 256 KiB at a time, and holds it until the application asks. An upload that waits for its turn would so cost
256 KiB of memory, and a round's wallets upload all at once: a hundred of them hold more than the vectors they bring.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

UNREAD_BYTES = 16 * 1024
"""Read from a connection before its application asks for more."""
READING_BYTES = 64 * 1024
"""Read at a time while it asks."""
_buffer = memoryview(bytearray(READING_BYTES))
"""Of all connections: what is read into it is handled before the event loop reads again."""


class _Http(HttpToolsProtocol):
    """uvicorn's protocol, pausing earlier."""

    @property
    def waits(self) -> bool:
        """Nobody has asked for a body yet, or not for what came."""
        return self.cycle is None or self.cycle.response_complete or bool(self.cycle.body)

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if len(self.cycle.body) >= UNREAD_BYTES:
            self.flow.pause_reading()  # until the application asks


class HttpProtocol(asyncio.BufferedProtocol):
    """uvicorn's protocol over `httptools` with a bound on what a waiting connection holds: `UNREAD_BYTES` and one read.

    It stands before the protocol and is none of its kind: uvloop asks only those for a buffer that are not `asyncio.Protocol` too.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._http = _Http(*args, **options)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._http.connection_made(cast("asyncio.Transport", transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self._http.connection_lost(exc)

    def eof_received(self) -> None:
        self._http.eof_received()

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer[:UNREAD_BYTES] if self._http.waits else _buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._http.data_received(cast("bytes", _buffer[:nbytes]))  # the parser takes any buffer
