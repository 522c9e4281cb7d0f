"""The clock is set back an hour while a round runs: nothing waits until its hour comes once more."""

from __future__ import annotations

import time

import pytest

from aggregation.server import config
from aggregation.server.models import Round
from aggregation.server.services import lease, opening, transitions
from aggregation.server.services.steps import step_round
from aggregation.server.states import Step
from tests.apps.aggregator.conftest import Cast

pytestmark = pytest.mark.django_db(databases=["aggregator"], transaction=True)
HOUR = 3600


@pytest.fixture
def running(cast: Cast) -> Round:
    cast.members(4)
    opening.open_round(job_id=cast.job_id, number=1, order=cast.order())
    row = Round.objects.get()
    transitions.move(row, Step.ADVERTISE)
    return row


@pytest.fixture
def set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time

    def later() -> float:
        return real() - HOUR

    monkeypatch.setattr(config, "now", lambda: int(later()))
    monkeypatch.setattr(config, "precise_now", later)


def test_a_lease_of_a_worker_that_died_before_is_free(running: Round, request: pytest.FixtureRequest) -> None:
    Round.objects.update(lease_until=config.precise_now() + config.LEASE_SECONDS, fence=7)
    assert step_round(running.pk) is False
    request.getfixturevalue("set_back")
    with lease.claim(running.pk) as claimed:
        assert claimed is not None
        assert claimed.fence == 8


def test_a_phase_gets_its_time_again_from_now(running: Round, request: pytest.FixtureRequest) -> None:
    running.refresh_from_db()
    length = running.deadline - running.since
    request.getfixturevalue("set_back")
    with lease.claim(running.pk):
        running.refresh_from_db()
    assert running.since == pytest.approx(config.now(), abs=2)
    assert running.deadline - running.since == length == 30


def test_a_running_clock_changes_nothing(running: Round) -> None:
    running.refresh_from_db()
    before = (running.since, running.deadline)
    with lease.claim(running.pk):
        running.refresh_from_db()
    assert (running.since, running.deadline) == before
