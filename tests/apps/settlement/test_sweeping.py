"""What looks after money every second and every few seconds: one glance where nothing is on its way, nothing forgotten where it is."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from django.core.cache import cache

from marketplace.accounts.models import Account
from marketplace.settings import base
from marketplace.settlement import effects, orders, outbox, selectors, services, tasks
from marketplace.settlement.chain import Chain
from marketplace.settlement.models import ChainTransaction, Escrow, SettlementEpoch
from marketplace.settlement.wallets import consumer_wallet
from tests.apps.plans import scanned
from tests.apps.settlement.conftest import RATE, TOKEN

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"])
T = ChainTransaction.State


def test_a_glance_at_nothing_is_one_question(db: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        tasks.sweep_task(glance=True)


def test_a_wish_whose_wake_up_was_lost_is_found_and_then_followed_at_a_glance(consumer: Account) -> None:
    job = uuid.uuid4()
    services.open_escrow(
        job_id=job, consumer_account=consumer, rate=RATE, budget=TOKEN, expires=int(time.time()) + 86_400
    )
    tasks.sweep_task(glance=True)
    assert not outbox.unfinished()
    services.sweep()  # a whole look, cut off after its first pass
    assert outbox.unfinished()
    for _ in range(10):
        tasks.sweep_task(glance=True)
    assert Escrow.objects.get(job_id=job).status == Escrow.Status.OPEN


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Glances that were sent: their arguments and how many seconds later they come."""
    cache.delete(tasks.FOLLOWED)
    found: list[tuple[Any, ...]] = []

    def send(task: str, *arguments: Any, **options: Any) -> None:
        if "countdown" in options:
            found.append((task, *arguments, options["countdown"]))

    monkeypatch.setattr(tasks.wakeups, "send", send)
    return found


@pytest.fixture
def on_its_way(consumer: Account, sent: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that no pass moves."""
    services.open_escrow(
        job_id=uuid.uuid4(),
        consumer_account=consumer,
        rate=RATE,
        budget=TOKEN,
        expires=int(time.time()) + 86_400,
    )
    services.sweep()
    assert outbox.unfinished()
    monkeypatch.setattr(services, "sweep", lambda: 0)


def test_what_is_on_its_way_is_followed_every_second(on_its_way: None, sent: list[tuple[Any, ...]]) -> None:
    glance = ("settlement.sweep", True, 1)
    tasks.sweep_task()
    tasks.sweep_task()
    assert sent == [glance], "one glance waits at a time"
    for count in range(2, 5):
        tasks.sweep_task(True)
        assert sent == [glance] * count, "each sends the next"


def test_nothing_is_followed_where_nothing_is_on_its_way(
    consumer: Account, sent: list[tuple[Any, ...]]
) -> None:
    tasks.sweep_task()
    tasks.sweep_task(True)
    assert not sent


def test_a_cache_that_is_down_costs_no_glance(
    on_its_way: None, sent: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ConnectionError

    for name in ("add", "delete"):
        monkeypatch.setattr(tasks.cache, name, broken)
    tasks.sweep_task()
    tasks.sweep_task(True)
    assert len(sent) == 2


def test_a_glance_that_was_lost_is_made_up_for_by_the_timetable() -> None:
    entries = [entry for entry in base.CELERY_BEAT_SCHEDULE.values() if entry["task"] == "settlement.sweep"]
    assert [(entry["schedule"], entry.get("kwargs")) for entry in entries] == [(5.0, None)]
    assert tasks.FOLLOWED_SECONDS < 5


def test_the_chain_is_asked_for_its_head_only_where_something_was_mined(
    consumer: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: Chain) -> int:
        raise AssertionError("nothing was mined")

    monkeypatch.setattr(Chain, "head", never)
    assert outbox.sweep() == 0


def row(key: str, state: str) -> None:
    ChainTransaction.objects.create(key=key, purpose="payer", gas=1, state=state)


@pytest.mark.parametrize(
    ("key", "state", "done"),
    [
        ("fund:1", T.SENT, False),
        ("push:1:3", T.NEW, False),
        ("publish:1", T.FAILED, False),
        ("push:1:3", T.CONFIRMED, True),
        ("push:11:0", T.NEW, True),
        ("fund:11", T.MINED, True),
        ("settle:1", T.NEW, True),
    ],
)
def test_an_epoch_is_done_when_its_own_transactions_are_confirmed(
    db: None, key: str, state: str, done: bool
) -> None:
    SettlementEpoch.objects.create(number=1, statement={}, earned=0, paid=0, carried=0, held_over=0)
    row("push:1:0", T.CONFIRMED)
    row(key, state)
    effects.finish_epoch(1)
    assert SettlementEpoch.objects.filter(status=SettlementEpoch.Status.DONE).exists() is done


def test_settlements_belong_to_their_epoch(db: None) -> None:
    job = {"job_id": str(uuid.uuid4()), "seq": 1, "visits": 5}
    document = {"document": {"jobs": [job]}}
    SettlementEpoch.objects.create(number=1, statement=document, earned=0, paid=0, carried=0, held_over=0)
    for key in (
        effects.settle_key(job),
        "fund:1",
        "push:1:0",
        "push:1:1",
        "publish:1",
        "fund:2",
        "push:12:0",
    ):
        row(key, T.SENT)
    found = {entry.key for entry in effects.of_epoch(1)}
    assert found == {effects.settle_key(job), "fund:1", "push:1:0", "push:1:1", "publish:1"}


def test_nothing_that_looks_often_reads_every_transaction_there_ever_was(consumer: Account) -> None:
    wallet = consumer_wallet(consumer)
    for work in (
        outbox.unfinished,
        outbox.sweep,
        selectors.in_flight,
        lambda: orders.busy(wallet),
        lambda: effects.finish_epoch(1),
    ):
        assert "settlement_chaintransaction" not in scanned("default", work)
    assert scanned("default", lambda: list(ChainTransaction.objects.filter(error="x"))) == {
        "settlement_chaintransaction"
    }
