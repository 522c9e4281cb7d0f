"""The owner of a collective sees to how many wallets a notice was delivered, and nothing that tells of one of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from collectives import selectors
from collectives.models import Admission
from collectives.selectors.steps import bucketed_above
from collectives.services import deliveries
from tests.apps.collectives.conftest import RELEASE_MIN, Stage
from tests.apps.collectives.double import Roles


def counted(admission: Admission, when: timedelta = timedelta()) -> int | None:
    deliveries.count_due(timezone.now() + when)
    admission.refresh_from_db()
    return admission.delivered


def shown(stage: Stage) -> str:
    (row,) = selectors.notice_numbers(stage.collective, RELEASE_MIN)
    return row.delivered


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "fewer than 60"), (59, "fewer than 60"), (60, "60+"), (99, "60+"), (100, "100+"), (1_400, "1,000+")],
)
def test_below_the_smallest_group_nothing_more_is_said(number: int, words: str) -> None:
    assert bucketed_above(number, 60) == words


def test_the_distributor_counts_and_the_owner_sees_steps(stage: Stage, roles: Roles) -> None:
    assert shown(stage) in ("not counted yet", "no notice was needed")
    roles.notices[str(stage.admission.pk)] = RELEASE_MIN - 1
    assert counted(stage.admission) == RELEASE_MIN - 1
    assert shown(stage) == f"fewer than {RELEASE_MIN}"
    roles.notices[str(stage.admission.pk)] = 12
    assert counted(stage.admission) == RELEASE_MIN - 1  # a moment later nobody asks again
    assert counted(stage.admission, deliveries.AGAIN) == 12
    assert shown(stage) == "10+"
    client = Client()
    client.force_login(stage.alice)
    page = client.get(reverse("collective-console", args=[stage.collective.pk])).content.decode()
    assert "Delivered to" in page
    assert "<td>10+</td>" in page
    assert "<td>12</td>" not in page


def test_a_wallet_that_left_stays_counted(stage: Stage, roles: Roles) -> None:
    roles.notices[str(stage.admission.pk)] = 12
    assert counted(stage.admission) == 12
    roles.notices[str(stage.admission.pk)] = 11
    assert counted(stage.admission, deliveries.AGAIN) == 12


def test_a_distributor_that_is_away_or_has_no_such_notice(stage: Stage, roles: Roles) -> None:
    roles.down.add("distributor")
    assert counted(stage.admission) is None
    assert stage.admission.counted_at is None
    roles.down.clear()
    path = str(stage.admission.pk)
    roles.refuse["GET", path] = (404, {"code": "not_found", "detail": "There is no such notice."})
    assert counted(stage.admission) is None
    assert stage.admission.counted_at is not None
    Admission.objects.update(effective_at=timezone.now() + timedelta(days=1))
    assert shown(stage) == "not counted yet"


def test_long_after_the_date_and_once_withdrawn_nobody_asks(stage: Stage, roles: Roles) -> None:
    assert counted(stage.admission, deliveries.AFTERWARDS + timedelta(seconds=5)) is None
    Admission.objects.update(status="withdrawn")
    assert deliveries.count_due(timezone.now()) == 0
    assert roles.made("GET", str(stage.admission.pk)) == []
