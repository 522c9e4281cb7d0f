"""What a wallet in a tab may use on another host than the one its page came from: the models of rounds, slots, payout openings.

Where the roles stand apart, the page comes from the site while these routes are the distributor's and the aggregator's; a browser asks
those hosts whether the page may. Only the site's own pages may, and without cookies: what lets a wallet in is a token or a signature in
the request itself. Agents send no Origin and notice nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Any, Any], Awaitable[None]]
METHODS = b"GET, PUT"
REMEMBERED_SECONDS = b"7200"
"""The longest that Chromium remembers an answer."""


class ForTabs:
    """A raw ASGI route that answers pages of the site too (fetch standard, CORS protocol)."""

    def __init__(self, app: App, *, site: str) -> None:
        parts = urlsplit(site)
        self._app, self._origin = app, f"{parts.scheme}://{parts.netloc}".encode()

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        if dict(scope["headers"]).get(b"origin") != self._origin:
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await self._permit(send)
        else:
            await self._app(scope, receive, self._telling(send))

    async def _permit(self, send: Send) -> None:
        headers = [
            *self._allowed(),
            (b"access-control-allow-methods", METHODS),
            (b"access-control-max-age", REMEMBERED_SECONDS),
            (b"content-length", b"0"),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _telling(self, send: Send) -> Send:
        async def tell(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *self._allowed()]}
            await send(message)

        return tell

    def _allowed(self) -> list[tuple[bytes, bytes]]:
        return [(b"access-control-allow-origin", self._origin), (b"vary", b"Origin")]
