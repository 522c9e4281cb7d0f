"""Wake-ups for calls that wait for the distributor: one at a time, and none too few."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from collectives import tasks, wakeups
from collectives.errors import ServiceRefused, ServiceUnavailable
from collectives.models import OutgoingCall
from collectives.services import outgoing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
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


def test_a_sweep_wakes_the_delivery_only_where_a_call_waits(sent: list[str], arrived: list[str]) -> None:
    tasks.sweep()
    assert not sent
    put("a")
    tasks.sweep()
    assert sent == ["collectives.flush_outgoing"] * 2, "a wake-up may be lost"
    outgoing.flush()
    tasks.sweep()
    assert len(sent) == 2


def test_a_call_from_before_the_clock_was_set_back_is_made_at_once(
    sent: list[str], arrived: list[str]
) -> None:
    put("a", "b")
    soon, long_after = (timezone.now() + timedelta(seconds=wait) for wait in (outgoing.LONGEST_WAIT, 7200))
    OutgoingCall.objects.update(not_before=soon)
    assert outgoing.flush() == 0, "it was tried a moment ago"
    OutgoingCall.objects.update(not_before=long_after)
    assert outgoing.flush() == 2


COLLECTIVE, OTHER = "0" * 7 + "1-0000-4000-8000-000000000000", "0" * 7 + "2-0000-4000-8000-000000000000"


def subscribed(collective: str, *keys: str) -> None:
    with transaction.atomic():
        for key in keys:
            path = f"/collectives/{collective}/subscribers/{key * 64}"
            outgoing.enqueue(key=f"subscriber:{key}", method="PUT", path=path, body={"expires": ord(key)})


class Registry:
    """A distributor that says which calls came, and refuses a subscriber or does not answer at all."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.down, self.refused = False, ""

    def call(self, method: str, path: str, body: Any) -> None:
        if self.down:
            raise ServiceUnavailable("no answer")
        told = body.get("subscribers", {})
        if self.refused and (self.refused * 64 in told or path.endswith(self.refused * 64)):
            raise ServiceRefused("conflict", "It serves another collective.", status=409)
        self.calls.append((path, body))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, sent: list[str]) -> Registry:
    made = Registry()
    monkeypatch.setattr(outgoing.clients, "distributor", lambda: made)
    return made


def statuses() -> dict[str, str]:
    return dict(OutgoingCall.objects.values_list("key", "status"))


def test_newcomers_side_by_side_are_told_of_in_one_call(registry: Registry) -> None:
    subscribed(COLLECTIVE, "a", "b", "c")
    subscribed(OTHER, "d", "e")
    put("x")
    subscribed(COLLECTIVE, "f")
    assert outgoing.flush() == 7
    first, second, third, last = registry.calls
    assert first == (
        f"/collectives/{COLLECTIVE}/subscribers",
        {"subscribers": {key * 64: {"expires": ord(key)} for key in "abc"}},
    )
    assert second[0] == f"/collectives/{OTHER}/subscribers"
    assert third[0] == "/x"
    assert last == (f"/collectives/{COLLECTIVE}/subscribers/{'f' * 64}", {"expires": ord("f")})
    assert set(statuses().values()) == {"done"}


def test_one_that_is_refused_keeps_no_other_from_arriving(registry: Registry) -> None:
    registry.refused = "b"
    subscribed(COLLECTIVE, "a", "b", "c")
    assert outgoing.flush() == 2
    assert statuses() == {"subscriber:a": "done", "subscriber:b": "refused", "subscriber:c": "done"}


def test_while_nobody_answers_newcomers_wait_and_arrive_later(registry: Registry) -> None:
    registry.down = True
    subscribed(COLLECTIVE, "a", "b")
    assert outgoing.flush() == 0
    assert set(statuses().values()) == {"waiting"}
    registry.down = False
    OutgoingCall.objects.update(not_before=timezone.now())
    assert outgoing.flush() == 2
    assert set(statuses().values()) == {"done"}
