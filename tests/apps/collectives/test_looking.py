"""Looks at a running job: most find nothing new and cost little; what is new is acted on by the same look."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from collectives import tasks, wakeups
from collectives.models import Job, Round
from collectives.services import looking
from collectives.services.looking import Look
from tests.apps.collectives.conftest import Drive, Stage
from tests.apps.collectives.double import Roles, Script

pytestmark = pytest.mark.usefixtures("no_rest", "nothing_a_real_role_would_refuse")
Sent = list[tuple[tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Looks that were asked for: arguments and options."""
    found: Sent = []

    def send(task: str, *arguments: Any, **options: Any) -> None:
        if task == "collectives.drive_job" and options:
            found.append((arguments, options))

    monkeypatch.setattr(wakeups, "send", send)
    return found


@pytest.fixture
def computing(stage: Stage, roles: Roles, drive: Drive) -> Job:
    """A job whose wallets compute, and whose rows say so."""
    roles.scripts[1] = Script(looks=1000)
    return drive(stage.job(rounds=1), until=lambda job: job.rounds.filter(phase="masked_input").exists())


def ago(job: Job, seconds: float) -> None:
    Job.objects.filter(pk=job.pk).update(driven_at=timezone.now() - timedelta(seconds=seconds))


def test_a_look_that_finds_nothing_new_takes_no_lease(
    computing: Job, roles: Roles, sent: Sent, django_assert_max_num_queries: Any
) -> None:
    ago(computing, 5)
    before, asked = Job.objects.get(pk=computing.pk), len(roles.calls)
    with django_assert_max_num_queries(3):
        tasks.drive_job(str(computing.pk), True)
    after = Job.objects.get(pk=computing.pk)
    assert after.fence == before.fence
    assert before.driven_at is not None
    assert after.driven_at is not None
    assert after.driven_at > before.driven_at
    assert [method for method, *_ in roles.calls[asked:]] == ["GET"]
    assert [arguments for arguments, _ in sent] == [(str(computing.pk), True)]


def test_what_is_new_is_acted_on_by_the_same_look(computing: Job, roles: Roles, sent: Sent) -> None:
    roles.scripts[1].looks = 0
    ago(computing, 5)
    tasks.drive_job(str(computing.pk), True)
    computing.refresh_from_db()
    assert (computing.status, computing.visits_earned) == ("completed", 10)
    assert sent == []


def test_a_new_phase_is_shown(computing: Job, roles: Roles, sent: Sent) -> None:
    Round.objects.update(phase="share_keys", enough=False)
    tasks.drive_job(str(computing.pk))
    assert Round.objects.values_list("phase", "enough").get() == ("masked_input", True)


def test_an_administrator_is_obeyed_at_the_next_look(computing: Job, sent: Sent) -> None:
    Round.objects.update(abort_reason="The form was wrong.")
    ago(computing, 5)
    tasks.drive_job(str(computing.pk), True)
    assert Round.objects.filter(status="abandoned", reason__contains="The form was wrong.").exists()


def test_an_invitation_that_goes_on_is_nothing_new(computing: Job, roles: Roles, sent: Sent) -> None:
    Round.objects.update(status="inviting")
    roles.refuse["GET", "/distributor/jobs/" + f"{computing.pk}/rounds/1"] = (200, {"state": "inviting"})
    fence = Job.objects.get(pk=computing.pk).fence
    tasks.drive_job(str(computing.pk))
    assert Job.objects.get(pk=computing.pk).fence == fence
    assert len(sent) == 1
    roles.refuse.clear()
    tasks.drive_job(str(computing.pk))
    assert Round.objects.get().status == "aggregating"


@pytest.mark.parametrize("down", ["aggregator", "distributor"])
def test_who_does_not_answer_is_asked_again(computing: Job, roles: Roles, sent: Sent, down: str) -> None:
    if down == "distributor":
        Round.objects.update(status="inviting")
    roles.down = {down}
    tasks.drive_job(str(computing.pk))
    assert len(sent) == 1
    roles.down = set()
    roles.scripts[1].looks = 0
    for _ in range(2):
        tasks.drive_job(str(computing.pk))
    assert Job.objects.get(pk=computing.pk).status == "completed"


def test_of_two_chains_of_looks_one_ends(computing: Job, roles: Roles, sent: Sent) -> None:
    ago(computing, 0.05)
    asked = len(roles.calls)
    tasks.drive_job(str(computing.pk), True)
    assert (sent, len(roles.calls)) == ([], asked), "another looked a moment ago"
    tasks.drive_job(str(computing.pk))
    assert len(sent) == 1, "a wake-up looks anyway"


@pytest.mark.parametrize(
    ("since", "phase", "seconds"),
    [
        (0.0, "masked_input", 0.25),
        (5.0, "masked_input", 0.5),
        (3600.0, "masked_input", 1.0),
        (3600.0, "unmask", 0.25),
        (-3600.0, "masked_input", 0.25),  # the clock was set back
        (None, "", 0.25),
    ],
)
def test_how_long_until_the_next_look(since: float | None, phase: str, seconds: float) -> None:
    now = timezone.now()
    began = None if since is None else now - timedelta(seconds=since)
    job = Job(status="running")
    found = Look(job_id=job.pk, status="running", driven_at=None, since=began, phase=phase)
    assert found.pause(now) == pytest.approx(seconds)
    assert found.pause(now) < tasks.IDLE_SECONDS, "the sweep would wake a job that is looked after"


def test_a_job_that_enrols_is_looked_at_less_often_the_longer_it_takes(stage: Stage, drive: Drive) -> None:
    job = drive(stage.job(rounds=1), until=lambda job: job.status == "scheduled")
    now = timezone.now()
    found = looking.look(job.pk)
    assert found is not None
    assert found.pause(now) == 0.25
    assert found.pause(now + timedelta(minutes=10)) == 1.0
    assert not looking.nothing_new(found, now)


def test_no_such_job(stage: Stage, sent: Sent) -> None:
    tasks.drive_job("00000000-0000-4000-8000-000000000000")
    assert sent == []
