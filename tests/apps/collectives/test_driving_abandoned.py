"""Rounds that do not come to a sum: nothing is revealed, what was proven is paid, and the job goes on or ends with a reason."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from django.utils import timezone

from aggregation.wire import cbor
from collectives.services import opening, rounds
from collectives.training.checkpoint import checkpoint_hash
from tests.apps.collectives.conftest import Drive, Stage
from tests.apps.collectives.double import Roles, Script
from tests.apps.collectives.driving import balanced

pytestmark = pytest.mark.usefixtures("no_rest", "nothing_a_real_role_would_refuse")


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
