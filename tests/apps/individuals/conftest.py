"""The real distributor on the other side: its own views and database, called over signed HTTP without a socket."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from django.test import Client

from marketplace.individuals import clients
from tests.apps import cast
from tests.apps.individuals.wallet import Wallet


class Wire:
    """Carries requests to the distributor's views, or fails like a service that is down."""

    def __init__(self) -> None:
        self.down = False
        self.calls: list[str] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(f"{request.method} {request.url.path}")
        if self.down:
            raise httpx.ConnectError("nobody answers")
        # Django's own client: a bare handler would close the connections of the test's transaction.
        answer = Client().generic(
            request.method,
            request.url.raw_path.decode(),
            request.read(),
            content_type="application/json",
            headers={"Authorization": request.headers["Authorization"]},
        )
        return httpx.Response(answer.status_code, content=answer.content, headers=dict(answer.headers))


class Transport(httpx.BaseTransport):
    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self.wire.handle(request)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    made = Wire()
    client = httpx.Client(base_url="http://127.0.0.1", transport=Transport(made))
    monkeypatch.setattr(clients, "client", lambda: client)
    yield made
    client.close()


@pytest.fixture
def world(db: None) -> cast.World:
    return cast.world()


@pytest.fixture
def wallet() -> Wallet:
    return Wallet()
