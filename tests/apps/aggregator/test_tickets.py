"""Tickets: each visit's receipt carries the ticket delivered for it, once, under the subscription key that enrolled."""

from __future__ import annotations

import os
from typing import Any

import pytest

from aggregation.secagg.messages import Header, PresenceReceipt
from aggregation.server import context
from aggregation.server.models import Round, Visit
from aggregation.server.services import ingest, opening, seats
from aggregation.wire import signing
from tests.apps.aggregator.conftest import Cast

pytestmark = pytest.mark.django_db(databases=["aggregator"])
TICKETS = {1: bytes(range(16)), 2: bytes(range(16, 32))}


def _open(cast: Cast, number: int) -> Header:
    row = opening.open_round(job_id=cast.job_id, number=number, order=cast.order())
    opening.put_cohort(
        job_id=cast.job_id, number=number, tickets=dict.fromkeys(cast.job_keys(), TICKETS[number].hex())
    )
    return context.of(row.pk).header


def _receipt(cast: Cast, header: Header, number: int, **changes: Any) -> bytes:
    subscription, job_key = cast.wallets[0]
    values: dict[str, Any] = {
        "job": cast.job_id.bytes,
        "round": number,
        "collective": cast.collective_id.bytes,
        "requirement_hash": cast.requirement,
        "data_commitment": bytes(32),
        "header_hash": header.hash(),
        "job_key": signing.public_key(job_key),
        "ticket": TICKETS[number],
    }
    return PresenceReceipt.sign(changes.pop("private", subscription), **(values | changes)).to_bytes()


def _say(cast: Cast, number: int, body: bytes) -> str:
    """What the aggregator answers to wallet 0, seated in a round: `stored`, `again`, or the code of a refusal."""
    job_key = signing.public_key(cast.wallets[0][1])
    (seat,) = seats.join([seats.Join(job=cast.job_id.bytes, round=number, job_key=job_key, hub="h")])
    assert isinstance(seat, ingest.Seat)
    (outcome,) = ingest.record([ingest.Said(kind=ingest.Kind.RECEIPT, seat=seat, body=body)])
    return outcome if isinstance(outcome, str) else str(getattr(outcome, "code", ""))


@pytest.fixture
def header(cast: Cast) -> Header:
    cast.members(4)
    return _open(cast, 1)


def test_a_ticket_pays_one_visit_however_often_it_is_shown(cast: Cast, header: Header) -> None:
    receipt = _receipt(cast, header, 1)
    assert [_say(cast, 1, receipt) for _ in range(3)] == ["stored", "again", "again"]
    assert _say(cast, 1, _receipt(cast, header, 1, data_commitment=os.urandom(32))) == "again"
    assert Visit.objects.count() == 1
    assert bytes(Visit.objects.get().receipt) == receipt


def test_another_ticket_is_refused(cast: Cast, header: Header) -> None:
    assert _say(cast, 1, _receipt(cast, header, 1, ticket=os.urandom(16))) == "wrong_ticket"
    assert not Visit.objects.exists()


def test_a_ticket_replayed_in_a_later_round_is_refused(cast: Cast, header: Header) -> None:
    first = _receipt(cast, header, 1)
    assert _say(cast, 1, first) == "stored"
    opening_of_second = _second_round(cast)

    assert _say(cast, 2, first) not in ("stored", "again")
    assert _say(cast, 2, _receipt(cast, opening_of_second, 2, ticket=TICKETS[1])) == "wrong_ticket"
    assert Visit.objects.count() == 1
    assert _say(cast, 2, _receipt(cast, opening_of_second, 2)) == "stored"


def test_a_ticket_is_bound_to_the_subscription_that_enrolled(cast: Cast, header: Header) -> None:
    thief = signing.generate(os.urandom)
    assert _say(cast, 1, _receipt(cast, header, 1, private=thief)) == "wrong_receipt"
    assert _say(cast, 1, _receipt(cast, header, 1, private=cast.wallets[1][0])) == "wrong_receipt"
    assert not Visit.objects.exists()


def test_a_receipt_for_an_ended_round_is_refused(cast: Cast, header: Header) -> None:
    from aggregation.server.services import results

    results.stop(job_id=cast.job_id, number=1)
    assert _say(cast, 1, _receipt(cast, header, 1)) == "round_over"
    assert not Visit.objects.exists()


def test_a_receipt_stored_before_its_round_ended_is_confirmed_afterwards(cast: Cast, header: Header) -> None:
    """The process that stored it may have died before it said so; the wallet asks again when the round is over."""
    from aggregation.server.services import results

    receipt = _receipt(cast, header, 1)
    assert _say(cast, 1, receipt) == "stored"
    results.stop(job_id=cast.job_id, number=1)
    assert _say(cast, 1, receipt) == "again"
    assert Visit.objects.count() == 1


def _second_round(cast: Cast) -> Header:
    from aggregation.server.services import results

    results.stop(job_id=cast.job_id, number=1)
    assert Round.objects.count() == 1
    return _open(cast, 2)
