"""Driving a job against roles that go down, answer late, forget and refuse: the books and the model stay right."""

from __future__ import annotations

import base64
import hashlib
import itertools
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from aggregation.wire import cbor
from collectives import clients, selectors
from collectives.models import Job, OutgoingCall, Round
from collectives.services import collectives, jobs, lease, opening, rounds
from collectives.services.jobs import TRANSITIONS
from collectives.terms.canonical import canonical
from collectives.terms.permit import Task
from collectives.training.checkpoint import checkpoint_hash
from tests.apps.collectives.conftest import RELEASE_MIN, Drive, Stage
from tests.apps.collectives.double import Roles, Script

F = 16


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "REST_SECONDS", (0, 0))


@pytest.fixture(autouse=True)
def nothing_a_real_role_would_refuse(roles: Roles) -> Any:
    yield
    assert roles.problems == []


def weights(job: Job, number: int) -> Any:
    return np.frombuffer(bytes(job.checkpoints.get(number=number).weights), dtype="<f4")


def balanced(job: Job) -> None:
    """What the books say adds up, and nothing is promised any more."""
    job.refresh_from_db()
    assert job.visits_reserved == 0
    assert job.visits_earned == sum(job.rounds.values_list("receipts", flat=True))
    assert job.visits_earned <= job.visits_budget


def test_a_job_runs_to_its_end_and_every_step_follows_from_the_sum(
    stage: Stage, roles: Roles, drive: Drive
) -> None:
    job = drive(stage.job(rounds=3))
    assert (job.status, job.reason) == ("completed", "all 3 rounds are done")
    assert [(c.number, c.wallets) for c in job.checkpoints.all()] == [(0, 0), (1, 10), (2, 10), (3, 10)]
    expected = weights(job, 0)
    for number in (1, 2, 3):
        mean = roles.values(number) / (2**F * 10)
        expected = (expected.astype(np.float64) - 0.2 * mean).astype(np.float32)
        assert np.array_equal(weights(job, number), expected)
        found = job.checkpoints.get(number=number)
        digest = checkpoint_hash(bytes.fromhex(stage.algorithm.manifest_hash), number, expected.tobytes())
        assert found.hash == digest.hex()
        assert found.aggregate_hash == hashlib.sha256(mean.astype("<f8").tobytes()).hexdigest()
        assert roles.opened[str(job.pk), number]["checkpoint"] == found.hash
        assert not roles.opened[str(job.pk), number]["sum"]
    assert (job.visits_earned, job.visits_budget) == (30, 1000)
    balanced(job)
    changes = [(t.before, t.after) for t in job.transitions.all()]
    assert [after for _, after in changes] == ["validated", "funded", "scheduled", "running", "completed"]
    assert all(after in TRANSITIONS[before] for before, after in changes)
    assert OutgoingCall.objects.filter(method="DELETE", path=f"/jobs/{job.pk}", status="waiting").exists()


def test_the_task_is_signed_and_names_what_is_delivered(stage: Stage, roles: Roles, drive: Drive) -> None:
    job = drive(stage.job(rounds=1))
    order = roles.distributed[str(job.pk), 1]
    body, signature = (base64.b64decode(order[name]) for name in ("task_body", "task_sig"))
    task = Task.verify(body, signature, bytes.fromhex(stage.collective.public_key))
    assert (task.job, task.round, task.rate) == (job.pk.bytes, 1, job.rate)
    payload = cbor.decode(base64.b64decode(order["payload"]))
    assert payload["manifest"] == canonical(stage.algorithm.manifest)
    assert payload["weights"] == bytes(job.checkpoints.get(number=0).weights)
    assert task.checkpoint == bytes.fromhex(job.checkpoints.get(number=0).hash)
    assert (order["minimum"], order["cohort"], order["max_deliveries"]) == (RELEASE_MIN, 10, 11)
    asked = roles.opened[str(job.pk), 1]["order"]
    assert (asked["release_min"], asked["bucket_min"], asked["d"]) == (RELEASE_MIN, 4, 17)
    assert asked["noise_micro"] == 50_000  # a tenth of the clip over the root of four


# --- money -------------------------------------------------------------------------------------------------------


def test_the_worst_case_is_reserved_and_the_rest_given_back(stage: Stage, roles: Roles, drive: Drive) -> None:
    roles.scripts[1] = Script(receipts=9, survivors=8)
    job = stage.job(rounds=1)
    drive(job, until=lambda j: j.rounds.exists())
    assert (job.visits_reserved, job.visits_earned) == (11, 0)
    drive(job)
    assert (job.visits_reserved, job.visits_earned) == (0, 9)
    balanced(job)


@pytest.mark.parametrize(
    ("visits", "done", "earned"), [(8, 1, 8), (15, 1, 8), (16, 2, 16), (18, 1, 11), (19, 2, 19), (22, 2, 22)]
)
def test_a_tiny_budget_ends_the_job_when_the_rest_cannot_pay_a_minimum_cohort(
    stage: Stage, roles: Roles, drive: Drive, visits: int, done: int, earned: int
) -> None:
    """Cohorts of 11 at most, of 8 at least; all that the budget allows answer."""
    left = visits
    for number in (1, 2):
        allowed = min(11, left)
        receipts = allowed if visits not in (15, 16, 8) else 8
        roles.scripts[number] = Script(accepted=20, receipts=receipts, survivors=8)
        left -= receipts
    job = drive(stage.job(visits=visits, rounds=50))
    assert job.status == "budget_exhausted"
    assert job.reason == f"the rest pays {visits - earned} visits, fewer than the minimum of 8"
    assert (job.visits_earned, job.rounds.filter(status="posted").count()) == (earned, done)
    for number in range(1, done + 1):
        order = roles.distributed[str(job.pk), number]
        assert order["max_deliveries"] == job.rounds.get(number=number).reserved <= 11
    balanced(job)


def test_an_aggregator_that_claims_more_visits_than_were_promised_does_not_get_them(
    stage: Stage, roles: Roles, drive: Drive
) -> None:
    roles.scripts[1] = Script(receipts=500)
    job = drive(stage.job(rounds=1, visits=11))
    assert (job.status, job.visits_earned) == ("completed", 11)
    balanced(job)


def test_the_database_itself_refuses_to_promise_more_than_the_budget(stage: Stage) -> None:
    from django.db import IntegrityError

    job = stage.job(visits=10, funded=False)
    with pytest.raises(IntegrityError, match="never_promises_more"):
        Job.objects.filter(pk=job.pk).update(visits_reserved=6, visits_earned=5)


# --- before the first round --------------------------------------------------------------------------------------


def test_three_times_the_minimum_must_be_subscribed(
    stage: Stage, roles: Roles, drive: Drive, settings: Any
) -> None:
    terms = stage.collective.terms.first()
    terms.document["development"] = False
    terms.save()
    job = stage.job()
    assert rounds.drive(job.pk, timezone.now()) == rounds.WAIT
    job.refresh_from_db()
    assert job.status == "waiting_for_subscribers"
    assert job.reason == "24 subscribers are needed; the job begins when they are there."
    assert roles.calls == []
    settings.SUBSCRIBERS_PER_COHORT = 1
    drive(job, until=lambda j: j.status == "running")


def test_the_notice_period_is_waited_for(stage: Stage, roles: Roles, drive: Drive) -> None:
    stage.collective.admissions.update(status="announced")
    job = stage.job()
    assert rounds.drive(job.pk, timezone.now()) == rounds.WAIT
    job.refresh_from_db()
    assert job.status == "notice"
    assert "may run from" in job.reason
    stage.collective.admissions.update(status="active")
    drive(job, until=lambda j: j.status == "running")


def test_too_few_enrolled_ends_the_job_with_both_numbers(stage: Stage, roles: Roles, drive: Drive) -> None:
    roles.enrolled = 5
    job = drive(stage.job())
    assert job.status == "failed"
    assert job.reason == (
        "5 wallets enrolled, 8 are needed. Nobody was asked to compute and nothing was charged."
    )
    assert selectors.checkpoints(job.pk).count() == 1


def test_a_withdrawn_algorithm_does_not_begin_and_does_not_go_on(
    stage: Stage, roles: Roles, drive: Drive
) -> None:
    running, waiting = stage.job(), stage.job()
    drive(running, until=lambda j: j.rounds.filter(status="posted").exists())
    stage.collective.admissions.update(status="withdrawn")
    drive(waiting)
    assert (waiting.status, waiting.reason) == (
        "failed",
        "The algorithm was withdrawn before the job began. Nothing was charged.",
    )
    drive(running)
    assert (running.status, running.reason) == ("stopped", "The collective withdrew the algorithm.")
    balanced(running)


def test_a_job_that_is_not_funded_is_not_driven(stage: Stage, roles: Roles) -> None:
    job = stage.job(funded=False)
    assert rounds.drive(job.pk, timezone.now()) == rounds.DONE
    assert roles.calls == []


def test_a_job_the_distributor_refuses_fails_and_says_why(stage: Stage, roles: Roles, drive: Drive) -> None:
    roles.refuse["PUT", "/announcement"] = 413, {"code": "too_large", "detail": "It is too large."}
    job = drive(stage.job())
    assert job.status == "failed"
    assert job.reason == "The job was refused (too_large): It is too large. Nothing was charged."


# --- rounds that do not come to a sum ----------------------------------------------------------------------------


def test_a_shortfall_costs_nothing_and_says_how_many_answered(
    stage: Stage, roles: Roles, drive: Drive
) -> None:
    roles.scripts[1] = Script(short=True, accepted=5, receipts=0, survivors=0)
    job = drive(stage.job(rounds=1))
    first, second = job.rounds.all()
    assert (first.status, first.receipts, first.accepted) == ("abandoned", 0, 5)
    assert first.reason == (
        "Round 1 stopped: 5 wallets answered, 8 are needed. Nobody's data was revealed and nothing was charged."
    )
    assert (second.status, second.number, job.status, job.visits_earned) == ("posted", 2, "completed", 10)
    assert job.failures == 0
    # The second round trains on the first checkpoint, under the number that the wallets expect for it.
    body = base64.b64decode(roles.distributed[str(job.pk), 2]["task_body"])
    expected = checkpoint_hash(
        bytes.fromhex(stage.algorithm.manifest_hash), 1, bytes(job.checkpoints.get(number=0).weights)
    )
    assert cbor.decode(body)["checkpoint"] == expected
    balanced(job)


def test_visits_proven_in_an_abandoned_round_are_paid(stage: Stage, roles: Roles, drive: Drive) -> None:
    roles.scripts[1] = Script(outcome="abandoned", receipts=7, survivors=0, reason="Too few finished.")
    job = drive(stage.job(rounds=1))
    first = job.rounds.get(number=1)
    assert (first.status, first.receipts) == ("abandoned", 7)
    assert first.reason == (
        "Round 1 stopped: Too few finished. Nobody's data was revealed. Visits already proven are paid; nothing else was "
        "charged."
    )
    assert job.visits_earned == 7 + 10
    balanced(job)


def test_three_abandoned_rounds_in_a_row_fail_the_job_and_leave_its_last_model(
    stage: Stage, roles: Roles, drive: Drive
) -> None:
    for number in (2, 3, 4):
        roles.scripts[number] = Script(short=True, accepted=3, receipts=0)
    job = drive(stage.job(rounds=9))
    assert job.status == "failed"
    assert job.reason.startswith("Round 4 stopped: 3 wallets answered, 8 are needed.")
    assert list(job.checkpoints.values_list("number", flat=True)) == [0, 1]
    balanced(job)


def test_abandoned_rounds_take_no_round_from_the_model_and_stay_within_what_was_announced(
    stage: Stage, roles: Roles, drive: Drive
) -> None:
    """Wallets refuse a round number above the announced one, so the announcement must leave room for abandoned rounds."""
    for number in (1, 2, 4, 5):
        roles.scripts[number] = Script(short=True, accepted=3, receipts=0)
    job = stage.job(rounds=2)
    announced = opening.announcement(job, {"cohort_commitment": "11" * 32, "distributor_key": "22" * 32})
    job = drive(job)
    assert job.status == "completed"
    numbers = list(job.rounds.order_by("number").values_list("number", flat=True))
    assert numbers == [1, 2, 3, 4, 5, 6]
    assert announced["document"]["max_rounds"] == numbers[-1]


def test_a_job_whose_announced_numbers_are_used_up_fails(
    stage: Stage, roles: Roles, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "NUMBERS_PER_ROUND", 1)
    roles.scripts[2] = Script(short=True, accepted=3, receipts=0)
    job = drive(stage.job(rounds=3))
    assert job.status == "failed"
    assert list(job.rounds.order_by("number").values_list("status", flat=True)) == [
        "posted",
        "abandoned",
        "posted",
    ]
    balanced(job)


def test_a_round_rests_after_one_that_failed(
    stage: Stage, roles: Roles, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "REST_SECONDS", (60, 600))
    roles.scripts[1] = Script(short=True, accepted=3, receipts=0)
    job = stage.job(rounds=1)
    drive(job, until=lambda j: j.failures == 1)
    assert rounds.drive(job.pk, timezone.now()) == rounds.WAIT
    assert job.rounds.count() == 1
    job.rounds.update(ended_at=timezone.now() - timedelta(seconds=61))
    assert rounds.drive(job.pk, timezone.now()) == rounds.AGAIN
    assert job.rounds.count() == 2


def test_a_sum_that_does_not_fit_the_model_is_not_used(stage: Stage, roles: Roles, drive: Drive) -> None:
    roles.d = 16
    job = drive(stage.job(rounds=1))
    assert (job.status, job.checkpoints.count()) == ("failed", 1)
    assert "its sum does not fit" in job.reason
    assert job.visits_earned == 3 * 10  # the wallets did their part
    balanced(job)


def test_a_sum_of_fewer_than_the_minimum_is_not_used(stage: Stage, roles: Roles, drive: Drive) -> None:
    roles.scripts[1] = Script(survivors=7)
    job = drive(stage.job(rounds=1))
    assert job.rounds.get(number=1).status == "abandoned"
    assert list(job.checkpoints.values_list("number", flat=True)) == [0, 2]


def test_a_round_the_aggregator_forgot_is_abandoned(stage: Stage, roles: Roles, drive: Drive) -> None:
    job = stage.job(rounds=1)
    drive(job, until=lambda j: j.rounds.filter(status="aggregating").exists())
    roles.opened.clear()
    drive(job)
    assert job.rounds.get(number=1).status == "abandoned"
    assert (job.status, job.visits_earned) == ("completed", 10)
    balanced(job)


def test_a_round_the_distributor_forgot_still_gives_its_sum_if_there_is_one(
    stage: Stage, roles: Roles, drive: Drive
) -> None:
    job = stage.job(rounds=1)
    drive(job, until=lambda j: j.rounds.filter(status="inviting").exists())
    roles.distributed.clear()
    roles.opened[str(job.pk), 1]["state"] = "released"
    drive(job)
    assert (job.status, job.visits_earned) == ("completed", 10)
    assert list(job.rounds.values_list("status", flat=True)) == ["posted"]


# --- services that fail ------------------------------------------------------------------------------------------

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


# --- stop, pause, suspend ----------------------------------------------------------------------------------------


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


# --- one worker at a time ----------------------------------------------------------------------------------------


def test_while_one_works_another_waits(stage: Stage, roles: Roles) -> None:
    job = stage.job()
    assert lease.claim(job.pk, timezone.now()) is not None
    assert rounds.drive(job.pk, timezone.now()) == rounds.WAIT
    job.refresh_from_db()
    assert job.status == "funded"
    later = timezone.now() + timedelta(seconds=lease.SECONDS + 1)
    assert rounds.drive(job.pk, later) == rounds.AGAIN


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
