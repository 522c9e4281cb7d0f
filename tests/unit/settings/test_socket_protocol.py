"""The short way of the sockets' protocol against the library's: same bytes back, same messages to the application, same bound on what waits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import uvicorn
import uvloop
from django.conf import settings
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.protocol import Protocol
from websockets.server import ServerProtocol

from marketplace import socket_protocol
from marketplace.http_protocol import HttpProtocol
from marketplace.socket_protocol import SocketProtocol
from tests.benchmarks.load.sockets import BINARY, CLOSE, PING, framed

LARGEST = 1000
END = b"that is all"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
FIELDS = {
    b"Host": b"x",
    b"Upgrade": b"websocket",
    b"Connection": b"Upgrade",
    b"Sec-WebSocket-Key": KEY,
    b"Sec-WebSocket-Version": b"13",
}
TEXT, CONTINUATION, MASK = 1, 0, b"\x01\x02\x03\x04"


@dataclass
class Echo:
    """Says everything back; `answers` is what it says first. With `hold` it reads nothing after that."""

    answers: list[dict[str, Any]] = field(default_factory=lambda: [{"type": "websocket.accept"}])
    hold: asyncio.Event | None = None
    scopes: list[dict[str, Any]] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append({name: scope[name] for name in scope if name not in ("client", "server")})
        await receive()
        for answer in self.answers:
            await send(answer)
        if self.hold is not None:
            await self.hold.wait()
        while True:
            message = await receive()
            self.seen.append(message)
            if message["type"] == "websocket.disconnect":
                return
            if message.get("bytes") == b"close":
                await send({"type": "websocket.close", "code": 4400})
            else:
                await send({**message, "type": "websocket.send"})


def request(changed: dict[bytes, bytes | None] | None = None, more: bytes = b"", line: bytes = b"") -> bytes:
    fields = FIELDS | (changed or {})
    lines = [name + b": " + value for name, value in fields.items() if value is not None]
    return b"\r\n".join((line or b"GET /ws/%C3%A4?a=b&c=d HTTP/1.1", *lines)) + b"\r\n" + more + b"\r\n"


def run(work: Any) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


class Served:
    """An application behind uvicorn, on a free port."""

    def __init__(self, app: Any, sockets: Any, **options: Any) -> None:
        config = uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            http=HttpProtocol,
            ws=sockets,
            ws_max_size=LARGEST,
            lifespan="off",
            log_config=None,
            **{"ws_per_message_deflate": False, "ws_ping_interval": None} | options,
        )
        self.server = uvicorn.Server(config)

    async def __aenter__(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._task = asyncio.create_task(self.server._serve())
        while not self.server.started:
            await asyncio.sleep(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self._streams = await asyncio.open_connection("127.0.0.1", port)
        return self._streams

    async def __aexit__(self, *_: object) -> None:
        self._streams[1].close()
        self.server.should_exit = self.server.force_exit = True
        await self._task


async def talk(
    sockets: Any, app: Echo, pieces: list[bytes], *, patience: float = 20.0, **options: Any
) -> bytes:
    """What comes back to these pieces, until the last one was echoed, the server has ended or so many seconds have passed; without the
    date."""
    async with Served(app, sockets, **options) as (reader, writer):
        heard = b""
        try:
            for piece in (*pieces, frame(BINARY, END)):
                if not writer.is_closing():  # what the server ended long ago
                    writer.write(piece)
                await asyncio.sleep(0.02)  # apart from one another
            async with asyncio.timeout(patience):
                while END not in heard and (got := await reader.read(65536)):
                    heard += got
        except ConnectionError:
            pass  # ended with something of ours unread
        except TimeoutError:
            heard += b"<silence>"
    head, end, rest = heard.partition(b"\r\n\r\n")
    return (
        b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"date:"))
        + end
        + rest
    )


def frame(opcode: int, payload: bytes, *, final: bool = True, bits: int = 0, mask: bool = True) -> bytes:
    made = framed(opcode, payload, MASK)
    first = (made[0] & (0xFF if final else 0x7F)) | bits
    if mask:
        return bytes((first,)) + made[1:]
    return bytes((first, len(payload))) + payload


LONG_FORM = bytes((0x82, 0xFF)) + (5).to_bytes(8, "big") + bytes(4) + b"eight"
CONVERSATIONS: dict[str, list[bytes]] = {
    "messages": [frame(BINARY, b"one"), frame(BINARY, b"x" * 125), frame(BINARY, b"y" * 126)],
    "the longest": [frame(BINARY, b"z" * LARGEST)],
    "one too long": [frame(BINARY, b"z" * (LARGEST + 1))],
    "two in one piece": [frame(BINARY, b"a") + frame(BINARY, b"b")],
    "one in two pieces": [frame(BINARY, b"abc")[:3], frame(BINARY, b"abc")[3:], frame(BINARY, b"d")],
    "a head, then what reads as a frame": [frame(BINARY, frame(BINARY, b"in"))[:6], frame(BINARY, b"in")],
    "a head of two bytes": [frame(BINARY, b"abc")[:2], frame(BINARY, b"abc")[2:]],
    "nothing": [frame(BINARY, b"")],
    "text": [frame(TEXT, "ä".encode()), frame(TEXT, b"\xff")],
    "fragments": [frame(BINARY, b"a", final=False), frame(CONTINUATION, b"b"), frame(BINARY, b"c")],
    "a message amid fragments": [frame(BINARY, b"a", final=False), frame(BINARY, b"c")],
    "fragments too long": [
        frame(BINARY, b"a" * 600, final=False),
        frame(CONTINUATION, b"b" * 600),
    ],
    "not masked": [frame(BINARY, b"abcd", mask=False), frame(BINARY, b"c")],
    "a reserved bit": [frame(BINARY, b"a", bits=0x40)],
    "an unknown kind": [frame(3, b"a")],
    "eight bytes of length": [LONG_FORM],
    "ping": [frame(PING, b"p"), frame(BINARY, b"a")],
    "ping amid fragments": [
        frame(BINARY, b"a", final=False),
        frame(PING, b"p"),
        frame(CONTINUATION, b"b"),
    ],
    "close": [frame(CLOSE, b"\x03\xe8"), frame(BINARY, b"late")],
    "closed by us": [frame(BINARY, b"close"), frame(BINARY, b"late"), frame(CLOSE, b"\x11\x30")],
    "closed by us, and late at once": [
        frame(BINARY, b"close") + frame(BINARY, b"late"),
        frame(BINARY, b"later"),
        frame(CLOSE, b"\x11\x30"),
    ],
}
HANDSHAKES: dict[str, bytes] = {
    "plain": request(),
    "of a browser": request(
        {
            b"Connection": b"keep-alive, Upgrade",
            b"Origin": b"https://x",
            b"Sec-WebSocket-Extensions": b"permessage-deflate",
        }
    ),
    "another method": request(line=b"POST /ws HTTP/1.1"),
    "an older version": request(line=b"GET /ws HTTP/1.0"),
    "no key": request({b"Sec-WebSocket-Key": None}),
    "a short key": request({b"Sec-WebSocket-Key": b"c2hvcnQ="}),
    "a key that is none": request({b"Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ"}),
    "two keys": request(more=b"Sec-WebSocket-Key: " + KEY + b"\r\n"),
    "two origins": request(more=b"Origin: https://a\r\nOrigin: https://b\r\n"),
    "another version of the protocol": request({b"Sec-WebSocket-Version": b"8"}),
    "a subprotocol": request({b"Sec-WebSocket-Protocol": b"chat"}),
    "a body": request({b"Content-Length": b"3"}),
    "a long field": request({b"Cookie": b"a" * 9000}),
    "an odd field": request({b"Cookie": b"\xe4 \x7f"}),
    "many fields": request(more=b"".join(b"X-%d: 1\r\n" % n for n in range(200))),
    "a long address": request(line=b"GET /" + b"a" * 9000 + b" HTTP/1.1"),
}
SILENT = {"a body", "many fields", "a long field", "a long address"}
"""To which the library says nothing, or no more after a refusal."""


def both(app: Callable[[], Echo], pieces: list[bytes], **options: Any) -> None:
    async def together() -> list[bytes]:
        ways: tuple[tuple[Any, Echo], ...] = ((SocketProtocol, ours), (WebSocketsSansIOProtocol, theirs))
        return await asyncio.gather(*(talk(way, echo, pieces, **options) for way, echo in ways))

    ours, theirs = app(), app()
    short, long = run(together())
    assert short == long
    assert ours.scopes == theirs.scopes
    assert ours.seen == theirs.seen


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_is_that_of_the_library(name: str) -> None:
    both(Echo, [request(), *CONVERSATIONS[name]])


@pytest.mark.parametrize("name", HANDSHAKES)
def test_a_handshake_is_judged_as_the_library_does(name: str) -> None:
    both(Echo, [HANDSHAKES[name], frame(BINARY, b"after")], patience=1.0 if name in SILENT else 20.0)


def test_compression_is_agreed_on_by_the_library() -> None:
    asked = request({b"Sec-WebSocket-Extensions": b"permessage-deflate"})
    both(Echo, [asked, frame(BINARY, b"after")], patience=1.0, ws_per_message_deflate=True)


@pytest.mark.parametrize(
    "answers",
    [
        [{"type": "websocket.close"}],
        [{"type": "websocket.accept", "headers": [(b"x-a", b"b")]}],
        [{"type": "websocket.accept"}, {"type": "websocket.accept"}],
        [{"type": "websocket.accept"}, {"type": "websocket.send", "text": "ä"}],
        [{"type": "websocket.accept"}, {"type": "websocket.send", "bytes": bytes(70_000)}],
        [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 4408}],
        [{"type": "websocket.send", "bytes": b"too early"}],
        [
            {"type": "websocket.http.response.start", "status": 404, "headers": []},
            {"type": "websocket.http.response.body", "body": b"none"},
        ],
    ],
    ids=["refused", "fields", "twice", "text", "long", "closed", "early", "no socket"],
)
def test_what_an_application_may_say_goes_out_as_the_library_says_it(answers: list[dict[str, Any]]) -> None:
    both(lambda: Echo(answers=answers), [request(), frame(BINARY, b"after"), frame(CLOSE, b"\x03\xe8")])


def test_a_plain_handshake_and_whole_frames_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("the long way was taken")

    monkeypatch.setattr(ServerProtocol, "accept", never)
    monkeypatch.setattr(Protocol, "receive_data", never)
    monkeypatch.setattr(Protocol, "send_frame", never)
    app = Echo()
    heard = run(talk(SocketProtocol, app, [request(), frame(BINARY, b"one"), frame(BINARY, b"two")]))
    assert heard.endswith(b"\x82\x03one\x82\x03two\x82\x0b" + END)
    assert app.scopes[0]["path"] == "/ws/ä"


def test_a_socket_whose_application_does_not_read_is_not_read() -> None:
    async def flood() -> int:
        app, message = Echo(hold=asyncio.Event()), framed(BINARY, os.urandom(LARGEST), MASK)
        served = Served(app, SocketProtocol)
        async with served as (reader, writer):
            writer.write(request())
            await reader.readuntil(b"\r\n\r\n")
            (socket,) = cast("set[SocketProtocol]", served.server.server_state.connections)
            writer.write(message)
            while not socket.read_paused:
                await asyncio.sleep(0.01)
            writer.write(message * 19)
            await asyncio.sleep(0.2)
            waiting = socket.queue.qsize()
            assert app.hold is not None
            app.hold.set()
            async with asyncio.timeout(20):
                back = await reader.readexactly(20 * (LARGEST + 4))
            payload = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(message[8:]))
            assert back == (b"\x82\x7e" + LARGEST.to_bytes(2, "big") + payload) * 20
        return waiting

    assert run(flood()) == 1


def test_a_socket_after_its_handshake_is_as_uvicorn_makes_one() -> None:
    async def made() -> list[dict[str, Any]]:
        config = uvicorn.Config(
            Echo(), ws_max_size=LARGEST, ws_per_message_deflate=False, root_path="/x", log_config=None
        )
        config.load()
        state = ServerState()
        state.default_headers = [(b"a", b"b")]
        ours = SocketProtocol.after_handshake(config, state, {"app": 1})
        theirs = WebSocketsSansIOProtocol(config, state, {"app": 1})
        library, own = vars(theirs).pop("conn"), ours.conn
        assert ours.__dict__.pop("_library") is own
        # What `connection_made` fills, which is for a handshake that is still to come.
        later = {name: theirs.__dict__.pop(name) for name in ("transport", "server", "client", "scheme")}
        assert set(later.values()) == {None}
        limits = ("max_message_size", "max_fragment_size", "extensions", "available_extensions", "origins")
        assert [getattr(own, name) for name in limits] == [getattr(library, name) for name in limits]
        assert own.state is library.state
        parts = [vars(ours), vars(theirs)]
        for part in parts:
            assert part.pop("queue").empty()
            assert part.pop("writable").is_set()
        return parts

    ours, theirs = run(made())
    assert ours == theirs


def test_the_servers_are_started_with_it() -> None:
    from marketplace.supervisor.parts import web

    name = f"{socket_protocol.__name__}:{SocketProtocol.__name__}"
    assert name in web().command
    script = Path(settings.BASE_DIR, "deploy/image/entrypoint.sh").read_text(encoding="utf-8")
    assert f"--ws {name} " in script
