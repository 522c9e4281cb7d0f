"""Small helpers of the raw ASGI applications: headers, bounded bodies, problem documents."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Answer(Exception):
    """Ends a request with this status, code and sentence."""

    def __init__(self, status: int, code: str = "", sentence: str = "") -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.sentence = sentence


def content_length(scope: Scope) -> int:
    """Raises:
    Answer: 411 when the length is not announced.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    raise Answer(411, "length_required", "Say Content-Length.")


async def chunks(receive: Receive, length: int) -> AsyncIterator[bytes]:
    """The body, never more than announced.

    Raises:
        Answer: 400 when the body is cut or longer than announced.
    """
    left = length
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Answer(400, "cut", "The upload was cut; send it again.")
        chunk = message.get("body", b"")
        left -= len(chunk)
        if left < 0:
            raise Answer(400, "wrong_length", "The body is longer than announced.")
        more = message.get("more_body", False)
        del message  # many wait here at once: none holds what it gave
        if chunk:
            yield chunk
        del chunk
        if not more:
            break
    if left:
        raise Answer(400, "cut", "The upload was cut; send it again.")


async def send_answer(send: Send, answer: Answer) -> None:
    body = b""
    kind = b"application/json"
    if answer.status >= 400:
        kind = b"application/problem+json"
        problem = {"code": answer.code, "status": answer.status, "detail": answer.sentence}
        body = json.dumps(problem).encode()
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    if answer.status in {404, 405, 408, 410, 411, 413, 429}:
        headers.append((b"connection", b"close"))  # the body was not read
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
