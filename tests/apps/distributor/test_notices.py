"""A notice goes once to every subscriber, also to those who come while an algorithm is announced, and a newcomer costs one row."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from tests.apps.distributor.conftest import Caller, Cast
from wallets.distributor.models import ALIAS, Mail, Notice, Subscriber
from wallets.distributor.services import routes

pytestmark = pytest.mark.django_db(databases=[ALIAS])
REF, TEXT = "notice-1", '{"document":{}}'
BODY = {"envelope": {"document": {}}}


def _path(cast: Cast, key: str = "") -> str:
    path = f"/internal/distributor/collectives/{cast.collective_id}/notices/{REF}"
    return f"{path}/subscribers/{key}" if key else path


def _addressed() -> int:
    return Notice.objects.get(ref=REF).addressed


def test_newcomers_are_told_once_each_and_counted(cast: Cast, call: Caller) -> None:
    cast.subscribe(3)
    assert call("collectives", "PUT", _path(cast), BODY) == (200, {"addressed": 3, "delivered": 0})
    (late,) = cast.subscribe(1)
    for _ in range(2):
        assert call("collectives", "PUT", _path(cast, late), BODY) == (200, {})
    assert Mail.objects.filter(ref=REF, key=late).count() == 1
    assert _addressed() == 4
    (another,) = cast.subscribe(1)
    assert call("collectives", "PUT", _path(cast), BODY)[1]["addressed"] == 5
    assert Mail.objects.get(ref=REF, key=another).body == TEXT


def test_nobody_who_left_and_nobody_strange_is_told(cast: Cast, call: Caller) -> None:
    cast.subscribe(1)
    (gone,) = cast.subscribe(1)
    routes.stop_subscriber(collective_id=cast.collective_id, key=gone, notify=False)
    for key in (gone, "cd" * 32):
        assert call("collectives", "PUT", _path(cast, key), BODY) == (200, {})
    assert not Mail.objects.filter(ref=REF).exists()
    assert _addressed() == 0
    other = (
        f"/internal/distributor/collectives/{uuid.uuid4()}/notices/{REF}/subscribers/{cast.subscribe(1)[0]}"
    )
    assert call("collectives", "PUT", other, BODY)[0] in {200, 409}
    assert not Mail.objects.filter(ref=REF).exists()


@pytest.mark.parametrize("before", [1, 40])
def test_a_newcomer_costs_as_much_with_one_subscriber_as_with_forty(cast: Cast, before: int) -> None:
    cast.subscribe(before)
    routes.post_notice(collective_id=cast.collective_id, ref=REF, envelope=TEXT)
    (late,) = cast.subscribe(1)
    with CaptureQueriesContext(connections[ALIAS]) as queries:
        routes.post_notice_to(collective_id=cast.collective_id, ref=REF, envelope=TEXT, key=late)
    rows = [q["sql"] for q in queries if q["sql"].startswith(("INSERT", "UPDATE"))]
    assert len(rows) == 2, rows
    assert len(queries) <= 12


def test_subscribers_come_together_or_not_at_all(cast: Cast, call: Caller) -> None:
    path = f"/internal/distributor/collectives/{cast.collective_id}/subscribers"
    told = {f"{n:064x}": {"terms_hash": "ab" * 32, "expires": 9 * 10**9} for n in range(1, 4)}
    for _ in range(2):
        assert call("collectives", "PUT", path, {"subscribers": told}) == (200, {})
    assert set(Subscriber.objects.values_list("key", flat=True)) == set(told)
    routes.stop_subscriber(collective_id=cast.collective_id, key=f"{1:064x}", notify=False)
    more = told | {f"{9:064x}": told[f"{1:064x}"]}
    status, answer = call("collectives", "PUT", path, {"subscribers": more})
    assert (status, answer["code"]) == (409, "stopped")
    assert Subscriber.objects.count() == 3


@pytest.mark.parametrize(
    "told", [None, {}, [], {"ab" * 32: 1}, {"xy": {"terms_hash": "ab" * 32, "expires": 1}}]
)
def test_what_is_no_list_of_subscribers_is_refused(cast: Cast, call: Caller, told: Any) -> None:
    path = f"/internal/distributor/collectives/{cast.collective_id}/subscribers"
    assert call("collectives", "PUT", path, {"subscribers": told})[0] == 400
    assert not Subscriber.objects.exists()
