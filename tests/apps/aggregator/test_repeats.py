"""A message is stored once. The same again is acknowledged again, another one in its place refused; nobody else in the batch notices."""

from __future__ import annotations

import os

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from aggregation.secagg.client import SecAggClient
from aggregation.server import context
from aggregation.server.models import ALIAS, Participant, PhaseMessage, Round
from aggregation.server.services import ingest, opening, seats
from aggregation.server.services.answered import Answered
from aggregation.server.services.ingest import Kind, Said
from aggregation.server.states import Step
from aggregation.wire import signing
from tests.apps.aggregator.conftest import Cast

pytestmark = pytest.mark.django_db(databases=["aggregator"])


@pytest.fixture
def seated(cast: Cast) -> list[ingest.Seat]:
    """Four wallets that are present."""
    cast.members(4)
    opening.open_round(job_id=cast.job_id, number=1, order=cast.order())
    tickets = dict.fromkeys(cast.job_keys(), bytes(16).hex())
    opening.put_cohort(job_id=cast.job_id, number=1, tickets=tickets)
    Participant.objects.update(state=Participant.State.PRESENT)
    keys = [signing.public_key(key) for _, key in cast.wallets]
    joined = seats.join([seats.Join(job=cast.job_id.bytes, round=1, job_key=key, hub="h") for key in keys])
    assert all(isinstance(seat, ingest.Seat) for seat in joined)
    return [seat for seat in joined if isinstance(seat, ingest.Seat)]


def advertise(cast: Cast, place: int) -> bytes:
    """A new round key each time."""
    header = context.of(Round.objects.get().pk).header
    key = cast.wallets[place][1]
    return SecAggClient(header, key, rng=os.urandom, note_revealed=lambda job, number: True).advertise()


def say(*said: tuple[ingest.Seat, bytes], answered: Answered | None = None) -> list[str]:
    items = [Said(kind=Kind.MESSAGE, seat=seat, body=body) for seat, body in said]
    return [
        outcome if isinstance(outcome, str) else str(getattr(outcome, "code", outcome))
        for outcome in ingest.record(items, answered)
    ]


def test_one_that_repeats_costs_the_others_nothing(cast: Cast, seated: list[ingest.Seat]) -> None:
    bodies = [advertise(cast, place) for place in range(4)]
    assert say((seated[0], bodies[0])) == ["stored"]
    assert say(*zip(seated[:3], bodies[:3], strict=True)) == ["again", "stored", "stored"]
    other = advertise(cast, 1)
    assert say((seated[3], bodies[3]), (seated[1], other), (seated[2], bodies[2])) == [
        "stored",
        "duplicate",
        "again",
    ]
    stored = PhaseMessage.objects.values_list("participant_id", "body")
    seats_ = [seat.participant for seat in seated]
    assert {who: bytes(body) for who, body in stored} == dict(zip(seats_, bodies, strict=True))


def test_two_in_one_batch_are_told_apart(cast: Cast, seated: list[ingest.Seat]) -> None:
    body = advertise(cast, 0)
    said = [(seated[0], body), (seated[0], body), (seated[0], advertise(cast, 0))]
    assert say(*said) == ["stored", "again", "duplicate"]


def test_after_its_phase_only_what_was_stored_is_acknowledged(cast: Cast, seated: list[ingest.Seat]) -> None:
    body = advertise(cast, 0)
    assert say((seated[0], body)) == ["stored"]
    Round.objects.update(step=Step.SIGNING_LISTS.value)
    assert context.of(seated[0].round).seen_step is Step.ADVERTISE, "this process has not seen the move"
    assert say((seated[0], body), (seated[1], advertise(cast, 1))) == ["again", "phase_over"]
    assert say((seated[0], advertise(cast, 0))) == ["duplicate"]


def test_a_wrong_signature_is_refused_alone(cast: Cast, seated: list[ingest.Seat]) -> None:
    body = advertise(cast, 0)
    broken = bytearray(advertise(cast, 1))
    broken[-1] ^= 1
    assert say((seated[0], body), (seated[1], bytes(broken))) == ["stored", "bad_signature"]
    assert PhaseMessage.objects.count() == 1


def test_the_phase_is_looked_at_when_the_last_one_here_has_answered(
    cast: Cast, seated: list[ingest.Seat]
) -> None:
    known = Answered(lambda round_id: {seat.participant for seat in seated})
    looks = []
    for place, seat in enumerate(seated):
        with CaptureQueriesContext(connections[ALIAS]) as seen:
            assert say((seat, advertise(cast, place)), answered=known) == ["stored"]
        looks.append(any("SELECT 1 AS" in query["sql"] for query in seen.captured_queries))
    assert looks == [False, False, False, True]
