"""Notices, jobs and the log: an algorithm runs only after its notice was seen in full, and only from a proven place."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest

from aggregation.wire.merkle import MerkleLog
from tests.unit.agent import documents
from tests.unit.agent.documents import Collective
from tests.unit.agent.scene import (
    COLLECTIVE,
    NOW,
    OTHER,
    OTHER_HASH,
    STRANGER,
    Scene,
    chosen,
    job_of_other,
    machine,
    refused,
    told,
)
from wallets.agent.messages import (
    Accept,
    Choice,
    Enrol,
    EnrolLater,
    JobArrived,
    Memory,
    NoticeAnswered,
    NoticeArrived,
    NoticeKept,
)
from wallets.agent.refusals import Refusal


def test_an_announced_algorithm_runs_only_after_the_notice_was_seen_in_full() -> None:
    scene = Scene()
    memory = chosen(scene, told(scene, NOW), Choice.WITH).memory
    assert refused(job_of_other(scene, memory, NOW + 999, until=NOW + 999)) is Refusal.NOTICE_RUNNING
    later = job_of_other(scene, memory, NOW + 999)
    assert isinstance(later, EnrolLater)
    assert later.at == NOW + 1000
    assert isinstance(job_of_other(scene, memory, NOW + 1000), Enrol)


def test_the_period_counts_from_when_this_wallet_first_saw_it() -> None:
    """A notice that was announced long ago but arrives today starts today."""
    scene = Scene()
    envelope = scene.collective.notice(OTHER, NOW - 5000)
    kept = scene.machine.decide(
        NoticeArrived(envelope=envelope, permit=scene.permit, memory=scene.memory, now=NOW)
    )
    assert isinstance(kept, NoticeKept)
    memory = chosen(scene, kept.memory, Choice.WITH).memory
    assert isinstance(job_of_other(scene, memory, NOW + 999), EnrolLater)
    assert isinstance(job_of_other(scene, memory, NOW + 1000), Enrol)


@pytest.mark.parametrize(
    "silence, choice, allowed",
    [
        ("without", None, False),
        ("with", None, True),
        ("without", Choice.WITH, True),
        ("with", Choice.WITHOUT, False),
    ],
)
def test_silence_means_what_the_terms_say_and_an_answer_beats_it(
    silence: str, choice: Choice | None, allowed: bool
) -> None:
    scene = Scene(Collective(silence=silence))
    memory = told(scene, NOW)
    if choice is not None:
        memory = chosen(scene, memory, choice).memory
    decision = job_of_other(scene, memory, NOW + 1000)
    assert isinstance(decision, Enrol) if allowed else refused(decision) is Refusal.OPTED_OUT


def test_leaving_is_an_answer() -> None:
    scene = Scene()
    assert chosen(scene, told(scene, NOW), Choice.LEAVE).leave
    assert (
        refused(scene.machine.decide(NoticeAnswered(notice_ref="?", choice=Choice.WITH, memory=scene.memory)))
        is Refusal.UNANNOUNCED_ALGORITHM
    )


def test_a_repeated_notice_keeps_the_first_sight_and_the_choice() -> None:
    scene = Scene()
    memory = chosen(scene, told(scene, NOW), Choice.WITHOUT).memory
    again = scene.machine.decide(
        NoticeArrived(
            envelope=scene.collective.notice(OTHER, NOW), permit=scene.permit, memory=memory, now=NOW + 500
        )
    )
    assert isinstance(again, NoticeKept)
    assert again.repeated
    assert again.seen.first_seen == NOW
    assert again.memory == memory


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"effective": NOW + 999}, Refusal.NOTICE_TOO_SHORT),
        ({"collective_id": str(uuid.uuid4())}, Refusal.WRONG_COLLECTIVE),
        ({"manifest_hash": "00" * 32}, Refusal.MALFORMED),
        ({"surprise": 1}, Refusal.MALFORMED),
    ],
)
def test_a_bad_notice_is_refused(changes: dict[str, Any], expected: Refusal) -> None:
    scene = Scene()
    envelope = scene.collective.notice(OTHER, NOW, **changes)
    event = NoticeArrived(envelope=envelope, permit=scene.permit, memory=scene.memory, now=NOW)
    assert refused(scene.machine.decide(event)) is expected


def test_a_flood_of_notices_is_bounded() -> None:
    scene = Scene()
    scene.machine = machine(notices_kept=3)
    memory = scene.memory
    for number in range(5):
        envelope = scene.collective.notice(documents.manifest(name=f"a{number}"), NOW, notice_ref=str(number))
        event = NoticeArrived(envelope=envelope, permit=scene.permit, memory=memory, now=NOW)
        decision = scene.machine.decide(event)
        if isinstance(decision, NoticeKept):
            memory = decision.memory
    assert len(memory.notices) == 3
    assert refused(decision) is Refusal.TOO_MANY


@pytest.mark.parametrize(
    "bounds", [{"max_parameters": 2}, {"inputs": ["height"]}, {"target": ["height"]}, {"outputs": ["mean"]}]
)
def test_an_algorithm_outside_the_agreed_class_cannot_be_announced(bounds: dict[str, Any]) -> None:
    scene = Scene()
    permit = scene.collective.permit(algorithm_class={"purpose": "x", "max_parameters": 1000} | bounds)
    event = NoticeArrived(
        envelope=scene.collective.notice(OTHER, NOW), permit=permit, memory=scene.memory, now=NOW
    )
    assert refused(scene.machine.decide(event)) is Refusal.OUTSIDE_CLASS


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"rate": str(documents.RATE * 2)}, Refusal.RATE_TOO_LOW),
        ({"bucket_min": 19}, Refusal.MINIMA_TOO_LOW),
        ({"release_min": 99}, Refusal.MINIMA_TOO_LOW),
        ({"expires": NOW}, Refusal.JOB_EXPIRED),
        ({"enrol_until": NOW - 1}, Refusal.JOB_EXPIRED),
        ({"collective_id": str(uuid.uuid4())}, Refusal.WRONG_COLLECTIVE),
        ({"manifest": OTHER, "manifest_hash": OTHER_HASH}, Refusal.UNANNOUNCED_ALGORITHM),
        ({"max_rounds": "ten"}, Refusal.MALFORMED),
    ],
)
def test_a_bad_job_is_refused(changes: dict[str, Any], expected: Refusal) -> None:
    scene = Scene()
    event = JobArrived(
        envelope=scene.collective.job(NOW, **changes), permit=scene.permit, memory=Memory(), now=NOW
    )
    assert refused(scene.machine.decide(event)) is expected


def test_a_job_signed_by_another_key_is_refused() -> None:
    envelope = COLLECTIVE.sign("job", COLLECTIVE.job(NOW)["document"], STRANGER)
    event = JobArrived(envelope=envelope, permit=COLLECTIVE.permit(), memory=Memory(), now=NOW)
    assert refused(machine().decide(event)) is Refusal.BAD_SIGNATURE


def test_enrolling_again_does_not_reset_the_rounds() -> None:
    scene = Scene()
    accept = scene.machine.decide(scene.task())
    assert isinstance(accept, Accept)
    again = scene.machine.decide(
        JobArrived(envelope=scene.job_envelope, permit=scene.permit, memory=accept.memory, now=NOW + 1)
    )
    assert isinstance(again, Enrol)
    assert refused(scene.machine.decide(scene.task(memory=again.memory))) is Refusal.REPLAYED_ROUND


def test_jobs_are_bounded_and_paused_means_no_new_ones() -> None:
    small = machine(jobs_kept=1)
    first = small.decide(
        JobArrived(envelope=COLLECTIVE.job(NOW), permit=COLLECTIVE.permit(), memory=Memory(), now=NOW)
    )
    assert isinstance(first, Enrol)
    second = JobArrived(
        envelope=COLLECTIVE.job(NOW), permit=COLLECTIVE.permit(), memory=first.memory, now=NOW
    )
    assert refused(small.decide(second)) is Refusal.TOO_MANY
    paused = replace(second, memory=Memory(paused=True))
    assert refused(machine().decide(paused)) is Refusal.PAUSED


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": bytes(64)},
        {"index": 0},
        {"leaf": b"another"},
        {"proof": ()},
        {"root": bytes(32)},
        {"size": 2},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_false_place_in_the_log_is_refused(changes: dict[str, Any]) -> None:
    scene = Scene()
    job = scene.memory.job(scene.job_id)
    assert job is not None
    unproven = replace(scene.memory, jobs=(replace(job, log_root=""),))
    assert refused(scene.machine.decide(scene.frozen(unproven, **changes))) is Refusal.NOT_IN_LOG


def test_a_log_freezes_once() -> None:
    scene = Scene()
    grown = MerkleLog([b"other", scene.leaf, b"third", b"fourth"])
    event = scene.frozen(scene.memory, root=grown.root, size=4, proof=tuple(grown.proof(1)))
    assert refused(scene.machine.decide(event)) is Refusal.NOT_IN_LOG
    assert refused(scene.machine.decide(scene.frozen(Memory()))) is Refusal.UNKNOWN_JOB
