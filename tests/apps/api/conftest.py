"""The API as programs meet it: each person of the cast with a token of their own, over WSGI, without a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections

from marketplace.accounts import tokens
from marketplace.client import Market
from marketplace.throttles import ApiThrottle
from tests.apps import cast


@pytest.fixture
def world(db: None) -> cast.World:
    return cast.world()


@pytest.fixture(autouse=True)
def one_connection() -> Iterator[None]:
    """A request over WSGI must not close the connection that holds the test's transaction, as Django's own client does not."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test asks more often than a person may."""
    monkeypatch.setattr(ApiThrottle, "THROTTLE_RATES", {"people": "100000/min", "agents": "100000/min"})


Open = Callable[[str], Market]


@pytest.fixture
def market(world: cast.World) -> Iterator[Open]:
    """`market("carla")` is the client with Carla's token."""
    opened = []

    def new(name: str) -> Market:
        _row, token = tokens.make(account=world.people[name], label="test")
        transport = httpx.WSGITransport(app=get_wsgi_application())
        opened.append(Market("http://testserver", token=token, transport=transport))
        return opened[-1]

    yield new
    for one in opened:
        one.close()
