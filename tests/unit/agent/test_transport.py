"""Plain text never leaves this machine, and a server's malformed answers become named errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from aggregation.wire import cbor
from wallets.agent.errors import InsecureTransport, ProtocolFault, ServerRefused, Unreachable
from wallets.agent.transport import Transport, check_url


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport(timeout=2)
    yield made
    await made.close()


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/x",
        "wss://example.org",
        "http://127.0.0.1:8000",
        "ws://localhost:1",
        "http://[::1]:9/",
    ],
)
def test_encrypted_addresses_and_this_machine_are_allowed(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "ws://example.org",
        "ws://10.0.0.1/",
        "http://127.0.0.1.example.org/",
        "http://localhost.example.org/",
        "http://localhost@example.org/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "127.0.0.1:80",
        "https://",
        "",
    ],
)
async def test_everything_else_is_refused_before_a_connection_is_made(url: str, transport: Transport) -> None:
    with pytest.raises(InsecureTransport):
        check_url(url)
    with pytest.raises(InsecureTransport):
        await transport.websocket(url)
    with pytest.raises(InsecureTransport):
        await transport.request("GET", url)


async def _serving(frames: list[bytes | str]) -> tuple[Server, str]:
    async def handler(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(frame)
        await connection.close()

    server = await serve(handler, "127.0.0.1", 0)
    return server, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "frame",
    ["text", b"", b"\xff", cbor.encode([1]), cbor.encode({"x": 1}), cbor.encode({"t": 1}), b"\xa1\x61t"],
)
async def test_a_malformed_frame_is_a_named_fault(frame: bytes | str, transport: Transport) -> None:
    server, url = await _serving([frame])
    async with server:
        socket = await transport.websocket(url)
        with pytest.raises(ProtocolFault):
            await socket.receive()
        await socket.close()


async def test_a_frame_beyond_the_limit_ends_the_connection(transport: Transport) -> None:
    server, url = await _serving([cbor.encode({"t": "x", "b": bytes(70_000)})])
    async with server:
        socket = await transport.websocket(url)
        with pytest.raises(ProtocolFault) as raised:
            await socket.receive()
        assert raised.value.code == "huge_frame"


async def test_nobody_there_is_unreachable(transport: Transport) -> None:
    with pytest.raises(Unreachable):
        await transport.websocket("ws://127.0.0.1:9")
    with pytest.raises(Unreachable):
        await transport.request("GET", "http://127.0.0.1:9/")


async def _http(answer: bytes) -> tuple[asyncio.Server, str]:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"


@pytest.mark.parametrize(
    "status, body, error, code",
    [
        (
            "409 X",
            b'{"code":"already_subscribed","detail":"You are in."}',
            ServerRefused,
            "already_subscribed",
        ),
        ("400 X", b"<html>", ServerRefused, "refused"),
        ("200 X", b"<html>", ProtocolFault, "bad_answer"),
        ("302 X", b"", ProtocolFault, "moved"),
        ("503 X", b"", Unreachable, "unreachable"),
        ("429 X", b"", Unreachable, "busy"),
    ],
)
async def test_answers_become_named_errors(
    status: str, body: bytes, error: type[Exception], code: str, transport: Transport
) -> None:
    head = f"HTTP/1.1 {status}\r\nLocation: http://example.org/\r\nContent-Length: {len(body)}\r\n\r\n"
    server, url = await _http(head.encode() + body)
    async with server:
        with pytest.raises(error) as raised:
            await transport.call("GET", url)
        assert raised.value.code == code


async def test_an_answer_beyond_the_limit_is_not_read_to_its_end(transport: Transport) -> None:
    body = bytes(100_000)
    server, url = await _http(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n" + body)
    async with server:
        with pytest.raises(ProtocolFault):
            await transport.request("GET", url, most=50_000)
