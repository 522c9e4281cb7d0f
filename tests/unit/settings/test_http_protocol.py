"""What a connection holds of a body that its application does not ask for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
import uvloop

from marketplace import http_protocol
from marketplace.http_protocol import READING_BYTES, UNREAD_BYTES, HttpProtocol

SIZE = 4_000_003


class Waiting:
    """An application that reads a body only when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.got: list[bytes] = []
        self.largest = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.go.wait()
        body, more = b"", True
        while more:
            message = await receive()
            piece, more = message["body"], message["more_body"]
            self.largest = max(self.largest, len(piece))
            body += piece
        self.got.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def served(app: Any) -> tuple[uvicorn.Server, int, asyncio.Task[None]]:
    config = uvicorn.Config(app, host="127.0.0.1", port=0, http=HttpProtocol, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    return server, server.servers[0].sockets[0].getsockname()[1], task


async def uploads(count: int) -> None:
    app = Waiting()
    server, port, task = await served(app)
    body = bytes(i % 251 for i in range(SIZE))
    head = f"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n".encode()
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    for _, writer in streams:
        writer.write(head + body)
    await asyncio.sleep(0.5)
    held = [len(connection.cycle.body) for connection in server.server_state.connections]
    assert len(held) == count
    assert all(0 < size <= 2 * UNREAD_BYTES for size in held), held
    app.go.set()
    for reader, writer in streams:
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\nok"), 20)
        assert answer.startswith(b"HTTP/1.1 200")
        writer.write(head + body)  # the next request of the same connection
    for reader, writer in streams:
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\nok"), 20)
        writer.close()
    assert app.got == [body] * (2 * count)
    assert app.largest <= READING_BYTES + UNREAD_BYTES
    server.should_exit = True
    await task


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_body_that_nobody_reads_stays_with_its_sender(loop: Any) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(uploads(5))


def test_the_server_is_started_with_it() -> None:
    from marketplace.supervisor.parts import web

    assert f"{http_protocol.__name__}:{HttpProtocol.__name__}" in web().command
