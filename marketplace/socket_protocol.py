"""How a server process speaks WebSocket (RFC 6455): uvicorn's protocol over `websockets`, with a short way for what nearly always happens.

Ten thousand wallets come in a minute, hear one invitation at once and answer it. What they send is a plain handshake and whole, final
binary frames; what they get is binary messages. Those are read and written here in a few steps. Everything else, and everything that is not
exactly as expected, goes the way of the library, which decides and refuses as ever: a handshake with anything unusual in it, a fragment, a
frame that is incomplete, too long or not masked, every control frame and every close.
"""

from __future__ import annotations

import asyncio
import binascii
import logging
import re
from typing import Any
from urllib.parse import unquote

from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import apply_mask
from websockets.http11 import Request
from websockets.protocol import OPEN, Protocol
from websockets.utils import accept_key

LONGEST_PART = 4096
"""Of an address or a header that is taken without the library: it has limits of its own, further out."""
MOST_HEADERS = 64
_PRINTABLE = re.compile(rb"[\x20-\x7e]*")
_NEEDED = {b"connection", b"upgrade", b"sec-websocket-key", b"sec-websocket-version"}
_UNUSUAL = {b"sec-websocket-protocol", b"content-length", b"transfer-encoding"}
_FINAL_BINARY, _MASKED, _LENGTH, _TWO_BYTES, _EIGHT_BYTES = 0x82, 0x80, 0x7F, 126, 127


class SocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol, quicker where nothing is special."""

    _answer = b""
    """The value of `Sec-WebSocket-Accept` where the handshake was read here."""
    _asked = False
    """The application waits for a message."""

    def take_over(self, transport: asyncio.Transport, scope: Any, url: bytes, key: bytes) -> None:
        """Begin after a handshake that `plain_key` found plain. `scope`: as uvicorn's HTTP protocol filled it."""
        self.connections.add(self)
        self.transport = transport
        self.server, self.client = scope["server"], scope["client"]
        self.scheme = "wss" if scope["scheme"] == "https" else "ws"
        self.conn.parser = Protocol.parse(self.conn)  # the library's, of what follows a handshake
        next(self.conn.parser)
        self._answer, self._url = accept_key(key.decode("ascii")).encode("ascii"), url
        self.handshake_initiated = True
        raw_path, _, query = url.partition(b"?")
        root = self.root_path
        self.scope = {
            "type": "websocket",
            "asgi": {"version": self.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
            "root_path": root,
            "path": root + unquote(raw_path.decode("ascii")),
            "raw_path": root.encode("ascii") + raw_path,
            "query_string": query,
            "headers": scope["headers"],
            "subprotocols": [],
            "state": self.app_state.copy(),
            "extensions": {"websocket.http.response": {}},
        }
        self.queue.put_nowait({"type": "websocket.connect"})
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)

    def data_received(self, data: bytes) -> None:
        payload = self._whole(data)
        if payload is None:
            super().data_received(data)
        elif not self.close_sent:  # as the library's way: what comes after our close is not read
            self.queue.put_nowait({"type": "websocket.receive", "bytes": payload})
            self._hold()

    def _hold(self) -> None:
        """Read no further until the application has taken what is here; but pausing for a message it waits for already is for nothing."""
        if self._asked:
            self._asked = False
        elif not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    async def receive(self) -> Any:
        self._asked = self.queue.empty()
        return await super().receive()

    def _whole(self, data: bytes) -> bytes | None:
        """The payload, if this is one whole, final, masked binary frame within the limit and no other frame has begun."""
        conn, size = self.conn, len(data)
        if size < 6 or data[0] != _FINAL_BINARY or not data[1] & _MASKED:
            return None
        length, start = data[1] & _LENGTH, 6
        if length == _TWO_BYTES:
            length, start = int.from_bytes(data[2:4], "big"), 8
        elif length == _EIGHT_BYTES:
            return None
        if size != start + length or conn.state is not OPEN or conn.extensions:
            return None
        limits = (conn.max_message_size, conn.max_fragment_size)
        if conn.current_size is not None or any(limit is not None and length > limit for limit in limits):
            return None
        # Between two frames the library's parser waits to see whether the stream has ended, and nowhere else.
        waits_in = conn.parser.gi_yieldfrom
        if getattr(waits_in, "__name__", "") != "at_eof":
            return None
        return apply_mask(data[start:], data[start - 4 : start])

    async def send(self, message: Any) -> None:
        data = message.get("bytes")
        if data is not None and message["type"] == "websocket.send" and self._open():
            self.transport.write(_head(len(data)) + data)
        elif message["type"] == "websocket.accept" and self._answer and not self.disconnected:
            await self._accept(message)
        else:
            await super().send(message)

    def _open(self) -> bool:
        conn = self.conn
        return (
            conn.state is OPEN
            and self.handshake_complete
            and not (self.close_sent or self.disconnected or self.initial_response or conn.extensions)
            and not conn.expect_continuation_frame
            and self.writable.is_set()
        )

    async def _accept(self, message: Any) -> None:
        key_answer, self._answer = self._answer, b""
        if message.get("subprotocol") or message.get("headers"):
            fields = [(name.decode(), value.decode("latin-1")) for name, value in self.scope["headers"]]
            self.response = self.conn.accept(Request(self._url.decode("ascii"), Headers(fields)))
            await super().send(message)
            return
        if self.handshake_complete or self.initial_response is not None or self.transport.is_closing():
            await super().send(message)
            return
        if self.logger.isEnabledFor(logging.INFO):
            of = get_client_addr(self.scope), get_path_with_query_string(self.scope)
            self.logger.info('%s - "WebSocket %s" [accepted]', *of)
        lines = [_SWITCHING, key_answer, b"\r\n"]
        for name, value in self.default_headers:
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n")
        self.handshake_complete = True
        self.conn.state = OPEN
        self.transport.write(b"".join(lines))
        self.start_keepalive()


_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
)


def plain_key(scope: Any, url: bytes, *, deflate: bool) -> bytes | None:
    """The `Sec-WebSocket-Key` of a handshake with nothing unusual in it; None for any other, which the library shall judge.

    Args:
        scope: with method, version and headers, as uvicorn's HTTP protocol fills it; names are in lower case.
        deflate: whether compression may be agreed on.
    """
    fields = scope["headers"]
    found = dict(fields)
    plain = (
        scope["method"] == "GET"
        and scope["http_version"] == "1.1"
        and len(found) == len(fields) <= MOST_HEADERS
        and found.keys() >= _NEEDED
        and found.keys().isdisjoint(_UNUSUAL)
        and not (deflate and b"sec-websocket-extensions" in found)
        and url.isascii()
        and max(map(len, (url, *found, *found.values()))) <= LONGEST_PART
        and all(value == value.strip() for value in found.values())
        and _PRINTABLE.fullmatch(b"".join((url, *found, *found.values()))) is not None
        and found[b"upgrade"].lower() == b"websocket"
        and found[b"sec-websocket-version"] == b"13"
        and b"upgrade" in [token.strip() for token in found[b"connection"].lower().split(b",")]
    )
    return found[b"sec-websocket-key"] if plain and _is_key(found[b"sec-websocket-key"]) else None


def _is_key(value: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(value, strict_mode=True)) == 16
    except binascii.Error:
        return False


def _head(size: int) -> bytes:
    """Of a final binary frame from a server (RFC 6455, section 5.2)."""
    if size < _TWO_BYTES:
        return bytes((_FINAL_BINARY, size))
    if size < 1 << 16:
        return b"\x82\x7e" + size.to_bytes(2, "big")
    return b"\x82\x7f" + size.to_bytes(8, "big")
