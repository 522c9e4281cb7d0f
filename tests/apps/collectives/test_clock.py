"""A clock that was set back by two hours: nothing waits for its hour to come a second time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from collectives import tasks, wakeups
from collectives.models import Job
from collectives.services import lease
from tests.apps.collectives.conftest import Stage

BACK = timedelta(hours=2)


def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that the sweep finds nobody at work on."""
    sent: list[tuple[str, ...]] = []
    with monkeypatch.context() as patch:
        patch.setattr(wakeups, "send", lambda *named, **_options: sent.append(named))
        tasks.sweep()
    return [job for task, *jobs in sent if task == "collectives.drive_job" for job in jobs]


def test_a_job_that_was_driven_in_the_future_is_looked_after(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, now = stage.job(rounds=1), timezone.now()
    for driven_at, expected in (
        (None, True),
        (now - timedelta(minutes=1), True),
        (now, False),
        (now + timedelta(seconds=1), False),  # another machine's clock
        (now + BACK, True),
    ):
        Job.objects.filter(pk=job.pk).update(status="running", driven_at=driven_at)
        assert woken(monkeypatch) == [str(job.pk)] * expected, driven_at


def test_a_lease_from_the_future_holds_nobody_up(stage: Stage) -> None:
    job, now = stage.job(rounds=1), timezone.now()
    assert lease.claim(job.pk, now) is not None
    assert lease.claim(job.pk, now) is None, "another holds it"
    first = lease.claim(job.pk, now - BACK)
    assert first is not None, "it was given before the clock was set back"
    assert lease.claim(job.pk, now - BACK) is None
