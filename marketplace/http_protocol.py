"""How a server process reads from its HTTP connections: little from those that nobody reads on.

uvicorn takes what is there, 256 KiB at a time, and holds it until the application asks. An upload that waits for its turn would so cost
256 KiB of memory, and a round's wallets upload all at once: a hundred of them hold more than the vectors they bring.
"""

from __future__ import annotations

import asyncio
from typing import Any

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
        self.connection_made = self._http.connection_made  # type: ignore[method-assign, assignment]
        self.connection_lost = self._http.connection_lost  # type: ignore[method-assign]
        self.eof_received = self._http.eof_received  # type: ignore[method-assign, assignment]
        self.pause_writing = self._http.pause_writing  # type: ignore[method-assign]
        self.resume_writing = self._http.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer[:UNREAD_BYTES] if self._http.waits else _buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._http.data_received(_buffer[:nbytes])  # type: ignore[arg-type]  # the parser takes any buffer
