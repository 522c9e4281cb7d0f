"""A wallet in a tab and hosts of rounds that stand apart from the site: its pages may, nobody else's may, agents notice nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings

from marketplace import asgi
from marketplace.cross_origin import ForTabs
from marketplace.handlers import INTERNAL

SITE = "https://site.example"


async def inner(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 409, "headers": [(b"x-kept", b"1")]})
    await send({"type": "http.response.body", "body": scope["method"].encode()})


async def answer(
    app: Any, method: str, origin: str | None, path: str = "/x"
) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"origin", origin.encode())] if origin else []
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    await app(scope, None, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, sent[1]["body"]


async def test_the_sites_pages_may_and_read_also_refusals() -> None:
    app = ForTabs(inner, site=f"{SITE}/")
    status, told, body = await answer(app, "PUT", SITE)
    assert (status, body, told["x-kept"]) == (409, b"PUT", "1")
    assert told["access-control-allow-origin"] == SITE
    status, told, body = await answer(app, "OPTIONS", SITE)
    assert (status, body) == (204, b"")
    assert told["access-control-allow-methods"] == "GET, PUT"
    assert "access-control-allow-credentials" not in told


@pytest.mark.parametrize("origin", [None, "https://evil.example", "http://site.example", f"{SITE}.example"])
async def test_to_others_nothing_is_added(origin: str | None) -> None:
    for method in ("GET", "PUT", "OPTIONS"):
        assert await answer(ForTabs(inner, site=SITE), method, origin) == (
            409,
            {"x-kept": "1"},
            method.encode(),
        )


@pytest.mark.parametrize("path", ["/wallets/payload/x", "/aggregator/slots/x", "/aggregator/payout-openings"])
async def test_every_route_a_wallet_uses_answers_the_site(path: str) -> None:
    status, told, _ = await answer(asgi.http, "OPTIONS", django_settings.SITE_URL, path)
    assert (status, told["access-control-allow-origin"]) == (204, django_settings.SITE_URL)
    assert not isinstance(asgi.raw_routes[INTERNAL], ForTabs)
