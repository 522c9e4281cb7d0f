"""HTTP for the development chain: one ASGI application, one thread for the EVM, loopback only."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from marketplace.devchain.rpc import Rpc

MOST_BYTES = 4 * 1024 * 1024


class RpcApp:
    """`POST /` with a JSON-RPC request or a batch of them."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="evm")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        body = await _read(receive)
        try:
            request = json.loads(body) if body is not None else None
        except ValueError:
            request = None
        if not isinstance(request, dict | list):
            await _respond(
                send, 400, {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "parse error"}}
            )
            return
        answer = await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, request)
        await _respond(send, 200, answer)

    def _answer(self, request: Any) -> Any:
        if isinstance(request, list):
            return [self._rpc.answer(one) for one in request]
        return self._rpc.answer(request)


async def _read(receive: Any) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body"):
            return body


async def _respond(send: Any, status: int, answer: Any) -> None:
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        kind = "startup" if message["type"] == "lifespan.startup" else "shutdown"
        await send({"type": f"lifespan.{kind}.complete"})
        if kind == "shutdown":
            return
