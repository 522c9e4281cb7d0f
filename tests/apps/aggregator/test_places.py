"""Places in buckets: every wallet gets its own, with far fewer statements than wallets."""

from __future__ import annotations

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from aggregation.server.models import Participant, PhaseMessage, Round
from aggregation.server.services import opening, steps
from aggregation.server.states import Step
from tests.apps.aggregator.conftest import Cast

pytestmark = pytest.mark.django_db(databases=["aggregator"], transaction=True)


@pytest.fixture
def row(cast: Cast) -> Round:
    cast.members(4)
    return opening.open_round(job_id=cast.job_id, number=1, order=cast.order())


def participants(row: Round, count: int) -> list[int]:
    for number in range(count):
        Participant.objects.create(
            round=row, job_key=f"{number:064x}", subscription_key=f"{number:064x}", ticket=""
        )
    return list(Participant.objects.order_by("pk").values_list("pk", flat=True))


def test_every_wallet_has_its_place(row: Round) -> None:
    everybody = participants(row, 41)
    places = {pk: (number % 4, number // 4) for number, pk in enumerate(everybody[:40])}
    with CaptureQueriesContext(connections["aggregator"]) as captured:
        steps._place(places)
    assert len(captured) == 4 + 10
    found = {
        pk: (bucket, at) for pk, bucket, at in Participant.objects.values_list("pk", "bucket", "position")
    }
    assert found == places | {everybody[40]: (None, None)}


def test_nobody_placed_is_no_statement(row: Round) -> None:
    with CaptureQueriesContext(connections["aggregator"]) as captured:
        steps._place({})
    assert len(captured) == 0


def test_who_answered_is_known_without_reading_what(row: Round, cast: Cast) -> None:
    from aggregation.server import context

    first, second, third = participants(row, 3)
    steps._place({first: (0, 1), second: (2, 0), third: (0, 0)})
    for pk, phase in ((first, "share_keys"), (second, "share_keys"), (third, "consistency")):
        PhaseMessage.objects.create(participant_id=pk, phase=phase, body=b"no message at all")
    here = context.of(row.pk)
    assert here.positions(Step.SHARE_KEYS) == {0: [1], 2: [0]}
    assert here.positions(Step.CONSISTENCY) == {0: [0]}
    assert here.positions(Step.UNMASK) == {}
