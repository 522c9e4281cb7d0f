"""What several threads write at once: each gets its own answer, and one transaction serves a handful."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connections

from collectives.errors import CollectiveError
from collectives.models import OutgoingCall, Subscription
from collectives.services import subscriptions
from collectives.services.together import Together, WriterEnded
from tests.apps.collectives.conftest import Stage
from tests.apps.collectives.wallet import Wallet


class Slow:
    """Writes what it is given when it may, and remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.may = threading.Event(), threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(items))
        self.begun.set()
        self.may.wait(10)
        if 13 in items and len(items) > 1:
            raise ValueError("all of it")
        if 99 in items:
            raise SystemExit
        return [ValueError(str(item)) if item < 0 else item * 2 for item in items]


def at_once(
    works: Sequence[Callable[[], Any]], *, between: Callable[[int], None] = lambda _: None
) -> list[Any]:
    """What each returned or raised, each in a thread of its own, begun in this order."""
    outcomes: list[Any] = [None] * len(works)

    def run(place: int) -> None:
        try:
            outcomes[place] = works[place]()
        except BaseException as error:
            outcomes[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for place, thread in enumerate(threads):
        thread.start()
        between(place)
    for thread in threads:
        thread.join(20)
    return outcomes


def gathered(items: Sequence[int], *, most: int = 100) -> tuple[list[Any], list[list[int]]]:
    """Outcomes and batches, where everything comes while the first is written."""
    slow = Slow()
    together: Together[int, int] = Together(slow, most=most)

    def between(place: int) -> None:
        if place == 0:
            slow.begun.wait(10)
        if place == len(items) - 1:
            while len(together._waiting) < len(items) - 1:
                pass
            slow.may.set()

    return at_once([lambda item=item: together.put(item) for item in items], between=between), slow.batches


def test_who_comes_meanwhile_is_written_together() -> None:
    outcomes, batches = gathered([1, 2, 3, 4])
    assert outcomes == [2, 4, 6, 8]
    assert batches[0] == [1]
    assert [sorted(batch) for batch in batches[1:]] == [[2, 3, 4]]


def test_no_batch_is_larger_than_allowed() -> None:
    outcomes, batches = gathered(list(range(8)), most=3)
    assert outcomes == [item * 2 for item in range(8)]
    assert [len(batch) for batch in batches] == [1, 3, 3, 1]


def test_an_answer_may_be_a_refusal_and_is_for_one_alone() -> None:
    outcomes, _ = gathered([1, -2, 3])
    assert (outcomes[0], outcomes[2]) == (2, 6)
    assert str(outcomes[1]) == "-2"


def test_a_batch_that_fails_fails_for_all_of_it_and_the_next_goes_on() -> None:
    outcomes, _ = gathered([1, 13, 3])
    assert outcomes[0] == 2
    assert [str(error) for error in outcomes[1:]] == ["all of it"] * 2
    assert Together(list).put(5) == 5


def test_nobody_waits_for_a_writer_that_was_ended() -> None:
    outcomes, _ = gathered([1, 99, 3])
    assert outcomes[0] == 2
    assert {type(error) for error in outcomes[1:]} <= {SystemExit, WriterEnded}
    assert any(isinstance(error, WriterEnded) for error in outcomes[1:])


@pytest.mark.django_db(transaction=True)
def test_wallets_that_subscribe_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    before, calls = Subscription.objects.count(), OutgoingCall.objects.count()
    terms = stage.collective.terms.first().document
    envelopes = [Wallet().subscription(terms) for _ in range(4)]
    envelopes.append(envelopes[0])  # the same bytes again, at the same time
    sent = [
        lambda envelope=envelope: subscriptions.subscribe(
            collective_id=stage.collective.pk, envelope=envelope
        )
        for envelope in envelopes
    ]
    outcomes = at_once(sent)
    keys = [envelope["document"]["subscription_key"] for envelope in envelopes]
    assert [permit["document"]["subscription_key"] for permit in outcomes] == keys
    assert Subscription.objects.count() == before + 4
    told = OutgoingCall.objects.filter(key__in=[f"subscriber:{key}" for key in keys])
    assert told.count() == 4
    stored = {
        row.subscription_key: row.permit for row in Subscription.objects.filter(subscription_key__in=keys)
    }
    assert all(stored[key] == permit for key, permit in zip(keys, outcomes, strict=True))
    assert OutgoingCall.objects.count() >= calls + 4


@pytest.mark.django_db
def test_one_key_that_is_known_spoils_nobody_elses_subscription(stage: Stage) -> None:
    terms, made = stage.collective.terms.first(), []
    for wallet in (stage.wallets[0], Wallet(), Wallet()):
        envelope = wallet.subscription(terms.document)
        signed, document = subscriptions._opened(envelope)
        made.append((signed, document, envelope))
    kept: list[Subscription] = []
    keeping = subscriptions._keeping
    try:
        subscriptions._keeping = type("Later", (), {"put": staticmethod(kept.append)})
        for signed, document, envelope in made:
            subscriptions._subscribed(terms, envelope, signed, document)
    finally:
        subscriptions._keeping = keeping
    outcomes = subscriptions._keep(kept)
    assert isinstance(outcomes[0], CollectiveError)
    assert outcomes[0].code == "already_subscribed"
    assert outcomes[1:] == [None, None]
    found = Subscription.objects.filter(subscription_key__in=[new.subscription_key for new in kept[1:]])
    assert found.count() == 2
