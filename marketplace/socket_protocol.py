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
from typing import Any, Self
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.frames import apply_mask
from websockets.http11 import Request
from websockets.protocol import OPEN, Protocol
from websockets.server import ServerProtocol
from websockets.utils import accept_key

LONGEST_PART = 4096
"""Of an address or a header that is taken without the library: it has limits of its own, further out."""
MOST_HEADERS = 64
CLOSE_SECONDS = 10.0
"""How long uvicorn waits for the answer to a close."""
_PRINTABLE = re.compile(rb"[\x20-\x7e]*")
_NEEDED = {b"connection", b"upgrade", b"sec-websocket-key", b"sec-websocket-version"}
_UNUSUAL = {b"sec-websocket-protocol", b"content-length", b"transfer-encoding"}
_logger = logging.getLogger("uvicorn.error")
_FINAL_BINARY, _MASKED, _LENGTH, _TWO_BYTES, _EIGHT_BYTES = 0x82, 0x80, 0x7F, 126, 127


class SocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol, quicker where nothing is special."""

    _answer = b""
    """The value of `Sec-WebSocket-Accept` where the handshake was read here."""
    _asked = False
    """The application waits for a message."""
    _library: ServerProtocol | None = None
    """The library's side of this connection; None as long as it was not needed, and then nothing has begun there."""

    @classmethod
    def after_handshake(cls, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> Self:
        """A protocol that is told of its handshake by `take_over`: as uvicorn makes it, but the library's side only when it is needed."""
        self = cls.__new__(cls)
        self.config, self.app, self.app_state = config, config.loaded_app, app_state
        self.loop, self.logger = asyncio.get_running_loop(), _logger
        self.root_path, self.asgi_version = config.root_path, config.asgi_version
        self.connections, self.tasks = server_state.connections, server_state.tasks
        self.default_headers = server_state.default_headers
        self.queue, self.writable = asyncio.Queue(), asyncio.Event()
        self.writable.set()
        self.handshake_initiated = self.handshake_complete = False
        self.close_sent = self.disconnected = self.read_paused = False
        self.close_timer, self.close_timeout, self.initial_response = None, CLOSE_SECONDS, None
        self.ping_interval, self.ping_timeout = config.ws_ping_interval, config.ws_ping_timeout
        self.ping_timer = self.pong_timer = self.pending_ping_payload = None
        self.ping_sent_at = self.last_ping_rtt = 0.0
        self.frames, self.curr_msg_data_type = [], "bytes"
        return self

    @property
    def conn(self) -> ServerProtocol:
        if self._library is None:
            self._library = ServerProtocol(extensions=[], max_size=self.config.ws_max_size, logger=_logger)
            self._library.parser = Protocol.parse(self._library)  # of what follows a handshake
            next(self._library.parser)
            if self.handshake_complete:
                self._library.state = OPEN
        return self._library

    @conn.setter
    def conn(self, library: ServerProtocol) -> None:
        self._library = library

    def take_over(self, transport: asyncio.Transport, scope: Any, url: bytes, key: bytes) -> None:
        """Begin after a handshake that `plain_key` found plain. `scope`: as uvicorn's HTTP protocol filled it."""
        self.connections.add(self)
        self.transport = transport
        self.server, self.client = scope["server"], scope["client"]
        self.scheme = "wss" if scope["scheme"] == "https" else "ws"
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
        size = len(data)
        if size < 6 or data[0] != _FINAL_BINARY or not data[1] & _MASKED:
            return None
        length, start = data[1] & _LENGTH, 6
        if length == _TWO_BYTES:
            length, start = int.from_bytes(data[2:4], "big"), 8
        elif length == _EIGHT_BYTES:
            return None
        if size != start + length or length > self.config.ws_max_size or not self._between():
            return None
        return apply_mask(data[start:], data[start - 4 : start])

    def _between(self) -> bool:
        """The socket is open and no frame or message has begun."""
        conn = self._library
        if conn is None:
            return self.handshake_complete
        if conn.state is not OPEN or conn.extensions or conn.current_size is not None:
            return False
        # Between two frames the library's parser waits to see whether the stream has ended, and nowhere else.
        return getattr(conn.parser.gi_yieldfrom, "__name__", "") == "at_eof"

    async def send(self, message: Any) -> None:
        data = message.get("bytes")
        if data is not None and message["type"] == "websocket.send" and self._open():
            self.transport.write(_head(len(data)) + data)
        elif message["type"] == "websocket.accept" and self._answer and not self.disconnected:
            await self._accept(message)
        else:
            await super().send(message)

    def _open(self) -> bool:
        conn = self._library
        return (
            (conn is None or (conn.state is OPEN and not (conn.extensions or conn.expect_continuation_frame)))
            and self.handshake_complete
            and not (self.close_sent or self.disconnected or self.initial_response)
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
        if self._library is not None:
            self._library.state = OPEN
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
