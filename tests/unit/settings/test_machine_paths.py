"""What requests between roles pass through, and how many connections they cost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.core.cache import CacheHandler

from aggregation.server.consumers import RoundConsumer
from marketplace import asgi
from marketplace.cache import SharedRedisCache
from marketplace.handlers import INTERNAL, InternalHandler
from wallets.distributor.consumers import WalletConsumer


async def test_a_role_without_signature_is_refused_and_gets_security_headers_but_no_cookie() -> None:
    sent: list[dict[str, Any]] = []

    asked = asyncio.Queue[dict[str, Any]]()
    asked.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"{INTERNAL}aggregator/totals",
        "raw_path": f"{INTERNAL}aggregator/totals".encode(),
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
    }
    await asgi.http(scope, asked.get, send)
    headers = dict(sent[0]["headers"])

    assert sent[0]["status"] == 401
    assert headers[b"Content-Type"] == b"application/problem+json"
    assert headers[b"X-Content-Type-Options"] == b"nosniff"
    assert b"Set-Cookie" not in headers


def test_only_internal_paths_pass_by_the_middleware_for_people() -> None:
    lean = [prefix for prefix, app in asgi.raw_routes.items() if isinstance(app, InternalHandler)]
    assert lean == ["/internal/"]


def test_every_context_uses_the_same_pool_of_connections() -> None:
    settings = {
        "default": {"BACKEND": "marketplace.cache.SharedRedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    }
    first, second = CacheHandler(settings)["default"], CacheHandler(settings)["default"]

    assert isinstance(first, SharedRedisCache)
    assert first is not second
    assert first._cache is second._cache


def test_options_that_would_split_the_pool_are_refused() -> None:
    with pytest.raises(ValueError, match="takes no OPTIONS"):
        SharedRedisCache("redis://127.0.0.1:1/0", {"OPTIONS": {"db": 1}})


@pytest.mark.parametrize(
    ("path", "consumer"), [("/ws/wallet/", WalletConsumer), ("/ws/round/", RoundConsumer)]
)
def test_a_socket_of_agents_is_found_by_its_whole_path(path: str, consumer: type[Any]) -> None:
    assert asgi._agents[path].consumer_class is consumer


@pytest.mark.parametrize("path", ["/ws/wallet/x", "/ws/wallet", "/ws/rounds/", "/x/ws/wallet/"])
async def test_any_other_socket_is_one_of_pages(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])

    monkeypatch.setattr(asgi, "page_sockets", page)
    await asgi.websocket({"type": "websocket", "path": path}, None, None)
    assert asked == [path]
