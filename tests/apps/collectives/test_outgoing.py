"""Wake-ups for calls that wait for the distributor: one at a time, and none too few."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction

from collectives import wakeups
from collectives.errors import ServiceUnavailable
from collectives.models import OutgoingCall
from collectives.services import outgoing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    cache.clear()
    names: list[str] = []
    monkeypatch.setattr(wakeups, "send", lambda task, *_, **__: names.append(task))
    return names


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reached the distributor; `down` in a path stands for one that does not answer."""
    paths: list[str] = []

    class Distributor:
        def call(self, method: str, path: str, body: Any) -> None:
            if "down" in path:
                raise ServiceUnavailable("no answer")
            paths.append(path)

    monkeypatch.setattr(outgoing.clients, "distributor", Distributor)
    return paths


def put(*names: str) -> None:
    with transaction.atomic():
        for name in names:
            outgoing.enqueue(key=name, method="PUT", path=f"/{name}")


def test_many_calls_queue_one_task_and_all_arrive(sent: list[str], arrived: list[str]) -> None:
    put("a", "b")
    put("c")
    assert sent == ["collectives.flush_outgoing"]
    assert outgoing.flush() == 3
    assert arrived == ["/a", "/b", "/c"]
    put("d")
    assert len(sent) == 2


def test_a_call_made_while_others_are_delivered_asks_again(
    sent: list[str], arrived: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a")
    deliver = outgoing.deliver

    def meanwhile(call: OutgoingCall) -> bool:
        if call.key == "a":
            put("late")
        return deliver(call)

    monkeypatch.setattr(outgoing, "deliver", meanwhile)
    outgoing.flush()
    assert len(sent) == 2


def test_a_cache_that_is_down_costs_no_wake_up(sent: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(outgoing.cache, "add", broken)
    put("a")
    put("b")
    assert len(sent) == 2


def test_a_distributor_that_is_down_is_asked_again_later(sent: list[str], arrived: list[str]) -> None:
    put("down", "a")
    assert outgoing.flush() == 0
    assert not arrived
    assert OutgoingCall.objects.filter(status=OutgoingCall.Status.WAITING).count() == 2
