"""Stop, pause, suspend and an administrator's word, at any moment of a job."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from collectives.models import Job
from collectives.services import collectives, jobs, rounds
from tests.apps.collectives.conftest import Drive, Stage
from tests.apps.collectives.double import Roles, Script
from tests.apps.collectives.driving import balanced

pytestmark = pytest.mark.usefixtures("no_rest", "nothing_a_real_role_would_refuse")


def test_a_stop_takes_effect_after_the_running_round(stage: Stage, roles: Roles, drive: Drive) -> None:
    job = stage.job(rounds=9)
    drive(job, until=lambda j: j.rounds.filter(status="aggregating").exists())
    jobs.stop(job_id=job.pk, actor=stage.alice, reason="enough")
    job.refresh_from_db()
    assert job.status == "running"
    drive(job)
    assert (job.status, job.reason, job.visits_earned) == ("stopped", "enough", 10)
    assert job.checkpoints.count() == 2
    balanced(job)


def test_a_stop_still_has_the_sum_of_the_last_round_erased(stage: Stage, roles: Roles, drive: Drive) -> None:
    job = stage.job(rounds=9)
    drive(job, until=lambda j: j.rounds.filter(status="posted", acknowledged=False).exists())
    jobs.stop(job_id=job.pk, actor=stage.alice)
    drive(job)
    assert (job.status, job.rounds.count()) == ("stopped", 1)
    assert not roles.opened[str(job.pk), 1]["sum"]


@pytest.mark.parametrize("status", ["validated", "funded", "scheduled"])
def test_a_stop_before_the_first_round_is_at_once(
    stage: Stage, roles: Roles, drive: Drive, status: str
) -> None:
    roles.enrolled = -1
    job = stage.job(funded=status != "validated")
    if status == "scheduled":
        drive(job, until=lambda j: j.status == "scheduled")
    for _ in range(2):
        jobs.stop(job_id=job.pk, actor=stage.alice)
    job.refresh_from_db()
    assert (job.status, job.visits_earned) == ("stopped", 0)
    assert job.transitions.filter(after="stopped").count() == 1


@pytest.mark.parametrize("at", ["scheduled", "running"])
def test_a_stop_in_the_middle_of_a_step_wins(
    stage: Stage, roles: Roles, drive: Drive, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between what a step read and what it writes, somebody stops the job: the step writes nothing."""
    job = stage.job()
    drive(job, until=lambda j: j.status == at)
    original = rounds.holding

    def stop_first(seen: Job, fence: int) -> Any:
        monkeypatch.undo()
        monkeypatch.setattr(rounds, "REST_SECONDS", (0, 0))
        jobs.stop(job_id=job.pk, actor=stage.alice)
        return original(seen, fence)

    for module in (rounds, "collectives.services.starting"):
        if isinstance(module, str):
            monkeypatch.setattr(f"{module}.holding", stop_first)
        else:
            monkeypatch.setattr(module, "holding", stop_first)
    for _ in range(3):
        rounds.drive(job.pk, timezone.now())
    job.refresh_from_db()
    assert (job.status, job.visits_reserved, job.rounds.count()) == ("stopped", 0, 0)


def test_pause_and_resume_between_rounds(stage: Stage, roles: Roles, drive: Drive) -> None:
    job = stage.job(rounds=2)
    drive(job, until=lambda j: j.rounds.filter(status="aggregating").exists())
    jobs.pause(job_id=job.pk, actor=stage.alice)
    drive(job)
    assert (job.status, job.rounds.count(), job.visits_reserved) == ("paused", 1, 0)
    assert rounds.drive(job.pk, timezone.now()) == rounds.DONE
    jobs.resume(job_id=job.pk, actor=stage.alice)
    drive(job)
    assert (job.status, job.rounds.count()) == ("completed", 2)


@pytest.mark.parametrize("begun", [True, False])
def test_jobs_of_a_suspended_collective_rest_until_it_is_reinstated(
    stage: Stage, roles: Roles, drive: Drive, begun: bool
) -> None:
    job = stage.job(rounds=2)
    if begun:
        drive(job, until=lambda j: j.rounds.filter(status="aggregating").exists())
    collectives.suspend(actor=stage.ada, collective=stage.collective, reason="Looking into a complaint.")
    drive(job)
    assert (job.status, job.reason) == ("suspended", "Looking into a complaint.")
    assert job.rounds.count() == int(begun)
    balanced(job)
    collectives.reinstate(actor=stage.ada, collective=stage.collective)
    drive(job)
    assert (job.status, job.rounds.filter(status="posted").count()) == ("completed", 2)


def test_a_suspended_job_can_be_stopped(stage: Stage, roles: Roles, drive: Drive) -> None:
    job = stage.job()
    collectives.suspend(actor=stage.ada, collective=stage.collective, reason="Why.")
    drive(job)
    jobs.stop(job_id=job.pk, actor=stage.alice)
    job.refresh_from_db()
    assert job.status == "stopped"


def test_an_administrator_ends_a_round_and_the_job_goes_on(stage: Stage, roles: Roles, drive: Drive) -> None:
    roles.scripts[1] = Script(looks=99, receipts=9)
    job = stage.job(rounds=1)
    drive(job, until=lambda j: j.rounds.filter(status="aggregating").exists())
    rounds.abort(actor=stage.ada, job_id=job.pk, reason="A wallet maker asked.")
    drive(job)
    first = job.rounds.get(number=1)
    assert (first.status, first.receipts) == ("abandoned", 9)
    assert first.reason == "Round 1 was ended by the administrator: A wallet maker asked."
    assert (job.status, job.visits_earned) == ("completed", 9 + 10)
    assert roles.opened[str(job.pk), 1]["state"] == "abandoned"
