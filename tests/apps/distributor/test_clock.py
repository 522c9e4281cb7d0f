"""The clock is set back an hour while wallets are asked: nobody waits until that hour comes once more."""

from __future__ import annotations

import time
from typing import Any

import pytest

from wallets.distributor import config
from wallets.distributor.models import Job, Round
from wallets.distributor.services import jobs, rounds

pytestmark = pytest.mark.django_db(databases=["distributor"])
HOUR = 3600


def shift(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    monkeypatch.setattr(config, "now", lambda: int(time.time()) + seconds)


def test_a_round_gets_its_time_for_accepting_again(cast: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cast.frozen_job(8)
    row = rounds.open_round(job_id=cast.job_id, order=cast.order(1, cohort=4))
    given = row.accept_until - row.created
    shift(monkeypatch, -HOUR)
    rounds.step(row.pk)
    row.refresh_from_db()
    assert row.state == Round.State.INVITING
    assert row.accept_until == pytest.approx(config.now() + given, abs=2)
    shift(monkeypatch, -HOUR + given + 3)
    rounds.step(row.pk)
    row.refresh_from_db()
    assert row.state == Round.State.SHORT


def test_enrolment_gets_its_time_again(cast: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cast.subscribe(3)
    cast.announce(seconds=60)
    shift(monkeypatch, -HOUR)
    jobs.step(cast.job_id)
    job = Job.objects.get()
    assert job.state == Job.State.ENROLLING
    assert job.enrol_until == pytest.approx(config.now() + 60, abs=5)
    shift(monkeypatch, -HOUR + 70)
    jobs.step(cast.job_id)
    assert Job.objects.get().state == Job.State.FROZEN
