"""An algorithm becomes active past its date and only with enough wallets that take it; silence means what the terms said."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from collectives import selectors
from collectives.models import Admission
from collectives.services import algorithms, collectives, notices
from collectives.services import jobs as job_services
from collectives.terms.algorithm import stack
from tests.apps import cast
from tests.apps.collectives.conftest import RELEASE_MIN, Drive, Stage

LATER = timedelta(seconds=5)


@pytest.fixture
def second(stage: Stage) -> Admission:
    """Another algorithm, announced to everybody, its notice over."""
    manifest = cast.MANIFEST | {"name": "Deeper", "layers": stack([6, 1])}
    algorithm = algorithms.submit(actor=stage.aron, manifest=manifest)
    algorithms.approve(actor=stage.ada, algorithm=algorithm)
    algorithm.refresh_from_db()
    return algorithms.announce(
        actor=stage.alice, collective=stage.collective, algorithm=algorithm, reason="More."
    )


def answer(stage: Stage, admission: Admission, number: int, choice: str) -> None:
    signed = stage.wallets[number].answer(stage.collective.pk, admission.pk, choice)
    notices.answer(collective_id=stage.collective.pk, envelope=signed)


def status(admission: Admission) -> str:
    cast.notices_arrive()
    algorithms.activate_due(timezone.now() + LATER)
    admission.refresh_from_db()
    return admission.status


def willing(admission: Admission) -> int:
    return selectors.willing(admission, list(admission.collective.terms.all())).count()


def test_silence_with_counts_who_does_not_answer(stage: Stage, second: Admission) -> None:
    assert willing(second) == RELEASE_MIN
    assert status(second) == "active"


def test_not_before_its_notice_got_through(stage: Stage, second: Admission) -> None:
    algorithms.activate_due(timezone.now() + LATER)
    second.refresh_from_db()
    assert second.status == "announced"
    assert status(second) == "active"


def test_not_before_the_date(stage: Stage, second: Admission) -> None:
    cast.notices_arrive()
    algorithms.activate_due(second.effective_at)
    second.refresh_from_db()
    assert second.status == "announced"


def test_one_refusal_too_many_keeps_it_waiting_until_the_answer_changes(
    stage: Stage, second: Admission
) -> None:
    answer(stage, second, 0, "without")
    assert status(second) == "announced"
    answer(stage, second, 0, "with")
    assert status(second) == "active"


def test_silence_without_counts_only_who_said_with(stage: Stage, second: Admission) -> None:
    """Wallets that signed terms with the other meaning of silence are counted by their own terms."""
    stage.collective.refresh_from_db()
    collectives.propose_terms(actor=stage.alice, collective=stage.collective, silence="without")
    newcomer = type(stage.wallets[0])()
    newcomer.subscribe(stage.collective)
    assert willing(second) == RELEASE_MIN
    signed = newcomer.answer(stage.collective.pk, second.pk, "with")
    notices.answer(collective_id=stage.collective.pk, envelope=signed)
    assert willing(second) == RELEASE_MIN + 1


def test_who_left_is_not_counted(stage: Stage, second: Admission) -> None:
    from collectives.services import subscriptions

    subscriptions.revoke_from_web(collective_id=stage.collective.pk, subscription_key=stage.wallets[0].key)
    assert willing(second) == RELEASE_MIN - 1
    assert status(second) == "announced"


def test_the_owner_sees_steps_and_whether_enough_remain(stage: Stage, second: Admission) -> None:
    answer(stage, second, 0, "without")
    rows = {row.admission.pk: row for row in selectors.notice_numbers(stage.collective, RELEASE_MIN)}
    assert rows[second.pk].without == "1+"
    assert not rows[second.pk].enough
    assert rows[stage.admission.pk].enough


def test_a_job_says_that_too_few_wallets_take_its_algorithm(
    stage: Stage, second: Admission, drive: Drive
) -> None:
    answer(stage, second, 0, "without")
    Admission.objects.filter(pk=second.pk).update(
        announced_at=timezone.now() - timedelta(days=1), effective_at=timezone.now() - timedelta(hours=1)
    )
    job = job_services.create(
        actor=stage.alice,
        collective=stage.collective,
        algorithm=second.algorithm,
        max_rounds=2,
        visits_budget=1000,
        plan=stage.plan(),
    )
    job_services.mark_funded(job.pk)
    job = drive(job, steps=3)
    assert job.status == "notice"
    assert job.reason == "Too few wallets take this algorithm; the job begins when enough do."
