"""A job that is driven to its end: the sum becomes the model, the books add up, and what must come first comes first."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from aggregation.wire import cbor
from collectives import selectors
from collectives.models import Job, OutgoingCall
from collectives.services import rounds
from collectives.services.jobs import TRANSITIONS
from collectives.terms.canonical import canonical
from collectives.terms.permit import Task
from collectives.training.checkpoint import checkpoint_hash
from tests.apps.collectives.conftest import RELEASE_MIN, Drive, Stage
from tests.apps.collectives.double import Roles, Script
from tests.apps.collectives.driving import F, balanced, weights

pytestmark = pytest.mark.usefixtures("no_rest", "nothing_a_real_role_would_refuse")


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


def test_the_rate_falls_once_the_share_of_rounds_that_the_plan_says_is_over(
    stage: Stage, roles: Roles, drive: Drive
) -> None:
    """Of four rounds two at the full rate; the third is the first of the falling ones and begins at the top."""
    job = drive(stage.job(rounds=4, plan=stage.plan(decay=True, decay_after_ppm=500_000)))
    for number, share in ((1, 1.0), (2, 1.0), (3, 1.0), (4, 0.1 + 0.9 * 0.5)):
        mean = roles.values(number) / (2**F * 10)
        expected = weights(job, number - 1).astype(np.float64) - 0.2 * share * mean
        np.testing.assert_allclose(weights(job, number), expected, rtol=1e-6, atol=1e-9)


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
    tomorrow = timezone.now() + timedelta(days=1)
    stage.collective.admissions.update(status="announced", effective_at=tomorrow)
    job = stage.job()
    assert rounds.drive(job.pk, timezone.now()) == rounds.WAIT
    job.refresh_from_db()
    assert job.status == "notice"
    assert f"may run from {tomorrow:%d %B %Y %H:%M} UTC" in job.reason
    stage.collective.admissions.update(status="active", effective_at=timezone.now())
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
