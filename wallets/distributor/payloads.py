"""`GET /wallets/payload/<sha256>?token=…`: the model of a round for its cohort, as raw ASGI.

A cohort asks for the same bytes at the same moment, so the last payloads stay in memory.
"""

from __future__ import annotations

import hmac
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async

from wallets.distributor.models import Payload, Round

PREFIX = "/wallets/payload/"
KEPT = 4
_PATH = re.compile(PREFIX + r"([0-9a-f]{64})")
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class PayloadApp:
    """The ASGI application for downloads."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[str, bytes] = OrderedDict()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Send) -> None:
        match = _PATH.fullmatch(scope["path"])
        if scope["method"] not in {"GET", "HEAD"}:
            await _answer(send, 405, b"Use GET.")
            return
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        body = await self._body(match[1], token) if match else None
        if body is None:
            await _answer(send, 404, b"There is no such payload for this token; the round may be over.")
        else:
            await _answer(send, 200, body, content_type=b"application/cbor")

    async def _body(self, digest: str, token: str) -> bytes | None:
        # No request's signals look after the connections of these threads: without that, one that broke would stay broken for good.
        if not await database_sync_to_async(_allowed, thread_sensitive=False)(digest, token):
            return None
        body = self._bodies.get(digest)
        if body is None:
            body = await database_sync_to_async(_load, thread_sensitive=False)(digest)
            if body is not None:
                self._bodies[digest] = body
                while len(self._bodies) > KEPT:
                    self._bodies.popitem(last=False)
        return body


def _allowed(digest: str, token: str) -> bool:
    rows = Round.objects.filter(
        payload_digest=digest, state__in=[Round.State.DELIVERING, Round.State.DELIVERED]
    )
    known = list(rows.values_list("payload_token", flat=True))
    return any(hmac.compare_digest(one.encode(), token.encode()) for one in known)


def _load(digest: str) -> bytes | None:
    row = Payload.objects.filter(digest=digest).first()
    return bytes(row.body) if row else None


async def _answer(send: Send, status: int, body: bytes, *, content_type: bytes = b"text/plain") -> None:
    headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
