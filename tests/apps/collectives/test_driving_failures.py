"""Driving a job against roles that go down, answer late, forget and refuse, and workers that die: the books stay right."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from collectives import clients
from collectives.models import Round
from collectives.services import lease, rounds
from tests.apps.collectives.conftest import Drive, Stage
from tests.apps.collectives.double import Roles
from tests.apps.collectives.driving import balanced

pytestmark = pytest.mark.usefixtures("no_rest", "nothing_a_real_role_would_refuse")


CALLS = [
    ("PUT", "/announcement"),
    ("PUT", "/rounds/1"),
    ("GET", "/rounds/1"),
    ("GET", "/rounds/1/sum"),
    ("POST", "/rounds/1/collected"),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda c: c[1].strip("/").replace("/", "-") + "-" + c[0])
@pytest.mark.parametrize("times", [1, 2])
def test_an_answer_that_is_lost_changes_nothing(
    stage: Stage, roles: Roles, drive: Drive, call: tuple[str, str], times: int
) -> None:
    """The role did it, the collective never heard: it asks again, with the very same bytes."""
    roles.swallow = [call] * times
    job = drive(stage.job(rounds=2))
    assert len(roles.swallow) < times
    assert (job.status, job.visits_earned, job.checkpoints.count()) == ("completed", 20, 3)
    balanced(job)


@pytest.mark.parametrize("role", ["distributor", "aggregator"])
def test_a_role_that_is_down_at_every_step_only_delays(
    stage: Stage, roles: Roles, drive: Drive, role: str
) -> None:
    job = stage.job(rounds=2)
    for turn in itertools.count():
        roles.down = {role} if turn % 3 else set()
        outcome = rounds.drive(job.pk, timezone.now())
        if outcome == rounds.DONE:
            break
        assert turn < 300
    job.refresh_from_db()
    assert (job.status, job.visits_earned) == ("completed", 20)
    assert list(job.rounds.values_list("status", flat=True)) == ["posted", "posted"]
    balanced(job)


def test_a_role_that_is_too_slow_is_asked_again(
    stage: Stage, roles: Roles, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    monkeypatch.setattr(clients, "TIMEOUT", httpx.Timeout(0.15))
    clients._service.cache_clear()
    roles.slow = 0.3
    job = stage.job(rounds=1)
    assert rounds.drive(job.pk, timezone.now()) == rounds.AGAIN
    assert rounds.drive(job.pk, timezone.now()) == rounds.WAIT
    job.refresh_from_db()
    assert job.status == "scheduled"
    roles.slow = 0
    drive(job)
    assert job.status == "completed"


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_refusals_that_pass_are_waited_out(stage: Stage, roles: Roles, drive: Drive, status: int) -> None:
    """A clock that is off, a key not yet known, too many calls: nothing of it is the round's fault."""
    job = stage.job(rounds=1)
    drive(job, until=lambda j: j.rounds.filter(status="aggregating").exists())
    roles.refuse["GET", "/rounds/1"] = status, {"code": "x", "detail": "x"}
    for _ in range(5):
        assert rounds.drive(job.pk, timezone.now()) == rounds.WAIT
    roles.refuse.clear()
    drive(job)
    assert (job.status, job.rounds.count()) == ("completed", 1)


def test_a_round_that_could_not_be_handed_over_for_long_is_begun_anew(
    stage: Stage, roles: Roles, drive: Drive
) -> None:
    """Its task would end before the wallets are done; the job must not suffer from it."""
    job = stage.job(rounds=1)
    drive(job, until=lambda j: j.rounds.exists())
    roles.down = {"distributor"}
    for _ in range(3):
        assert rounds.drive(job.pk, timezone.now()) == rounds.WAIT
    Round.objects.update(started_at=timezone.now() - timedelta(hours=2))
    assert rounds.drive(job.pk, timezone.now()) == rounds.WAIT
    assert job.rounds.count() == 1
    roles.down = set()
    drive(job)
    first, second = job.rounds.all()
    assert (first.status, first.reason) == (
        "abandoned",
        "Round 1 could not begin in time and is begun anew. Nothing was charged.",
    )
    assert (second.status, job.status, job.visits_earned) == ("posted", "completed", 10)
    balanced(job)


def test_a_round_that_was_handed_over_long_ago_goes_on(stage: Stage, roles: Roles, drive: Drive) -> None:
    job = stage.job(rounds=1)
    drive(job, until=lambda j: j.rounds.exists())
    roles.swallow = [("PUT", "/rounds/1")]  # the aggregator's answer is lost
    rounds.drive(job.pk, timezone.now())
    roles.swallow = [("PUT", "/rounds/1")]
    rounds.drive(job.pk, timezone.now())
    drive(job)
    assert (job.status, job.rounds.count()) == ("completed", 1)


def test_while_one_works_another_waits(stage: Stage, roles: Roles) -> None:
    job = stage.job()
    assert lease.claim(job.pk, timezone.now()) is not None
    assert rounds.drive(job.pk, timezone.now()) == rounds.WAIT
    job.refresh_from_db()
    assert job.status == "funded"
    later = timezone.now() + timedelta(seconds=lease.SECONDS + 1)
    assert rounds.drive(job.pk, later) == rounds.AGAIN


def test_a_lease_from_before_the_clock_was_set_back_is_free(stage: Stage, roles: Roles) -> None:
    """A worker died with it; without this the job would stand still until its hour comes once more."""
    job = stage.job()
    fence = lease.claim(job.pk, timezone.now())
    earlier = timezone.now() - timedelta(hours=1)
    assert lease.claim(job.pk, earlier) == (fence or 0) + 1
    assert lease.claim(job.pk, earlier) is None


def test_a_step_whose_lease_was_taken_over_commits_nothing(
    stage: Stage, roles: Roles, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that slept through its lease wakes up with a sum in its hands; another one has posted it already."""
    job = stage.job(rounds=1)
    drive(job, until=lambda j: j.rounds.filter(status="collecting").exists())
    asked = clients.Service.call

    def sleepy(self: Any, method: str, path: str, body: Any = None) -> Any:
        found = asked(self, method, path, body)
        if path.endswith("/sum"):
            monkeypatch.setattr(clients.Service, "call", asked)
            rounds.drive(job.pk, timezone.now() + timedelta(seconds=lease.SECONDS + 1))
        return found

    monkeypatch.setattr(clients.Service, "call", sleepy)
    assert rounds.drive(job.pk, timezone.now()) == rounds.WAIT
    job.refresh_from_db()
    assert job.checkpoints.count() == 2
    assert (job.visits_reserved, job.visits_earned) == (0, 10)
    drive(job)
    assert (job.status, job.visits_earned) == ("completed", 10)


@pytest.mark.parametrize("call", range(1, 13))
def test_a_worker_killed_at_any_call_loses_and_doubles_nothing(
    stage: Stage, roles: Roles, drive: Drive, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """The call arrived; the process died before it could write anything down."""

    class Killed(BaseException):
        pass

    asked, count = clients.Service.call, itertools.count(1)

    def deadly(self: Any, method: str, path: str, body: Any = None) -> Any:
        found = asked(self, method, path, body)
        if next(count) == call:
            raise Killed
        return found

    job = stage.job(rounds=1)
    monkeypatch.setattr(clients.Service, "call", deadly)
    monkeypatch.setattr(rounds, "release", lambda job_id, fence: None)
    now = timezone.now()
    for _ in range(60):
        now += timedelta(seconds=lease.SECONDS + 1)
        try:
            if rounds.drive(job.pk, now) == rounds.DONE:
                break
        except Killed:
            continue
    job.refresh_from_db()
    assert (job.status, job.visits_earned, job.checkpoints.count()) == ("completed", 10, 2)
    assert len(roles.opened) == len(roles.distributed) == 1
    balanced(job)
