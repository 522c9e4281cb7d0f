"""What the aggregator looks after every few seconds: rounds that run, however many are over."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.core.cache import cache

from aggregation.server import config, tasks
from aggregation.server.models import Participant, Round, SigningRequest
from aggregation.server.services import epochs, opening, seats, steps, transitions
from aggregation.server.services.progress import due
from aggregation.server.states import OVER, RUNNING, Step
from tests.apps.aggregator.conftest import Cast
from tests.apps.plans import scanned

pytestmark = pytest.mark.django_db(databases=["aggregator"], transaction=True)


@pytest.fixture
def rounds(cast: Cast) -> list[Round]:
    """One that is over and one that runs, each with two wallets at a process that died and one at a process that lives."""
    cast.members(4)
    made = []
    for number in (1, 2):
        opening.open_round(job_id=cast.job_id, number=number, order=cast.order())
        row = Round.objects.get(number=number)
        transitions.move(row, Step.ADVERTISE)
        Participant.objects.bulk_create(
            Participant(round=row, job_key=key, subscription_key=key, ticket="", hub=hub)
            for key, hub in zip(cast.job_keys(), ("dead", "dead", "alive", ""), strict=True)
        )
        if number == 1:
            transitions.abandon(round_id=row.pk, reason="x")
        made.append(row)
    seats.show_alive("alive")
    return made


def test_wallets_of_a_dead_process_are_gone_in_rounds_that_run(rounds: list[Round]) -> None:
    assert seats.adopt_orphans() == 2

    def hubs(row: Round) -> list[str]:
        return list(Participant.objects.filter(round=row).order_by("pk").values_list("hub", flat=True))

    assert hubs(rounds[0]) == ["dead", "dead", "alive", ""]
    assert hubs(rounds[1]) == ["", "", "alive", ""]
    gone = Participant.objects.filter(round=rounds[1]).order_by("pk").values_list("gone_since", flat=True)
    until = config.precise_now() + config.RESTART_GRACE_SECONDS - config.GRACE_SECONDS
    assert gone[0] == pytest.approx(until, abs=5)
    assert seats.adopt_orphans() == 0


def test_who_could_not_come_because_no_process_lived_has_time_when_one_starts(rounds: list[Round]) -> None:
    long_ago = config.precise_now() - 60
    absent = Participant.objects.filter(round=rounds[1])
    absent.update(hub="", gone_since=long_ago)
    silent, revoked = absent.order_by("pk")[:2]
    Participant.objects.filter(pk=revoked.pk).update(gone_since=0)
    assert due(rounds[1])

    assert seats.begin() == 3
    assert not due(rounds[1])
    silent.refresh_from_db()
    revoked.refresh_from_db()
    assert silent.gone_since > config.precise_now()
    assert revoked.gone_since == 0
    assert list(Participant.objects.filter(round=rounds[0]).values_list("gone_since", flat=True)) == [0] * 4


def test_while_no_process_lives_only_time_ends_a_phase(rounds: list[Round], driven: list[int]) -> None:
    row = rounds[1]
    Participant.objects.filter(round=row).update(hub="", gone_since=config.precise_now() - 60)
    cache.delete("aggregator:hub")
    tasks.sweep()
    assert driven == []

    Round.objects.filter(pk=row.pk).update(deadline=config.now())
    tasks.sweep()
    assert driven == [row.pk]

    driven.clear()
    Round.objects.filter(pk=row.pk).update(deadline=config.now() + 60)
    seats.show_alive("alive")
    tasks.sweep()
    assert driven == [row.pk]


def test_every_step_is_running_or_over() -> None:
    assert set(RUNNING) | set(OVER) == set(Step)
    assert not set(RUNNING) & set(OVER)


@pytest.fixture
def driven(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    monkeypatch.setattr(tasks, "drive", found.append)
    return found


def test_the_sweep_drives_what_runs_and_has_something_to_do(rounds: list[Round], driven: list[int]) -> None:
    running = Round.objects.filter(pk=rounds[1].pk)
    tasks.sweep()
    assert driven == [], "a wallet is waited for, and there is time"
    for change in (
        {"deadline": config.now() - 1},  # the time is up
        {"since": config.now() + 3600},  # it began before the clock was set back
        {"step": Step.ASSIGNING.value},  # whoever computed it may be dead
        {"step": Step.SIGNING_LISTS.value, "deadline": config.now() - 1},
        {"step": Step.OPENED.value, "deadline": config.now() - 1},
    ):
        before = running.values().get()
        running.update(**change)
        driven.clear()
        tasks.sweep()
        assert driven == [rounds[1].pk], change
        running.update(**before)


def test_a_phase_that_everybody_answered_or_left_is_driven(rounds: list[Round], driven: list[int]) -> None:
    Participant.objects.filter(round=rounds[1]).update(hub="", gone_since=1)
    tasks.sweep()
    assert driven == [rounds[1].pk]


def test_a_round_that_waits_for_a_signature_is_driven_when_it_comes(
    rounds: list[Round], driven: list[int]
) -> None:
    row = rounds[1]
    Round.objects.filter(pk=row.pk).update(step=Step.SIGNING_LISTS.value)
    request = SigningRequest.objects.create(
        id=uuid.uuid4(), round=row, kind=SigningRequest.Kind.LISTS, body=b"lists"
    )
    tasks.sweep()
    assert driven == []
    SigningRequest.objects.filter(pk=request.pk).update(signature=b"x" * 64)
    tasks.sweep()
    assert driven == [row.pk]


def test_a_look_at_what_waits_is_two_questions(rounds: list[Round], django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(2, using="aggregator"):
        assert steps.quiet(rounds[1].pk)


def test_no_sweep_reads_what_every_visit_leaves_behind(rounds: list[Round]) -> None:
    left = {
        "aggregator_participant",
        "aggregator_phasemessage",
        "aggregator_maskedinput",
        "aggregator_visit",
        "aggregator_round",
        "aggregator_suspicion",
    }
    for work in (seats.adopt_orphans, tasks.sweep):
        assert not scanned("aggregator", work) & left, work
    assert "aggregator_visit" in scanned("aggregator", epochs.totals)
    assert not scanned("aggregator", epochs.totals, partial="visit_unstated") & left
