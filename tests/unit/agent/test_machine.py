"""Tasks, visits and offers: every refusal has a test, and the order of checks holds."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from aggregation.wire import signing
from aggregation.wire.once import Remembered
from collectives.terms.description import Terms
from tests.unit.agent import documents
from tests.unit.agent.documents import Collective
from tests.unit.agent.scene import (
    COLLECTIVE,
    NOW,
    STRANGER,
    Scene,
    machine,
    refused,
)
from wallets.agent.machine import HolderMachine
from wallets.agent.messages import (
    DAY_SECONDS,
    AboutToLeave,
    Accept,
    AskHolder,
    Go,
    HolderPolicy,
    Memory,
    OfferArrived,
    PayloadArrived,
    Refused,
    TaskArrived,
    Visit,
)
from wallets.agent.refusals import Refusal


def test_a_genuine_task_is_accepted_and_its_round_is_used_up() -> None:
    scene = Scene()
    accept = scene.machine.decide(scene.task())
    assert isinstance(accept, Accept)
    assert accept.visit.task.round == 1
    assert accept.memory.job(scene.job_id) is not None
    assert accept.memory.job(scene.job_id).last_round == 1  # type: ignore[union-attr]
    assert accept.memory.visits == (NOW,)
    assert refused(scene.machine.decide(scene.task(memory=accept.memory))) is Refusal.REPLAYED_ROUND


Make = Callable[[Scene], TaskArrived]
TASKS: dict[Refusal, Make] = {
    Refusal.NO_PERMIT: lambda s: s.task(permit=None),
    Refusal.PERMIT_EXPIRED: lambda s: s.task(permit=s.collective.permit(expires=NOW)),
    Refusal.MALFORMED: lambda s: s.task(body=b"\xff"),
    Refusal.BAD_SIGNATURE: lambda s: s.task(private=STRANGER),
    Refusal.WRONG_COLLECTIVE: lambda s: s.task(collective=bytes(16)),
    Refusal.UNKNOWN_JOB: lambda s: s.task(memory=Memory()),
    Refusal.WRONG_REQUIREMENT: lambda s: s.task(requirement=bytes(32)),
    Refusal.WRONG_MANIFEST: lambda s: s.task(manifest=bytes(32)),
    Refusal.RATE_TOO_LOW: lambda s: s.task(rate=documents.RATE - 1),
    Refusal.HEADER_MISMATCH: lambda s: s.task(
        s.header(checkpoint_hash=bytes([1]) * 32), checkpoint=bytes(32)
    ),
    Refusal.MINIMA_TOO_LOW: lambda s: s.task(permit=s.collective.permit(bucket_min=30)),
    Refusal.NOISE_TOO_LOW: lambda s: s.task(s.header(noise_micro=22_000)),
    Refusal.UNANNOUNCED_ALGORITHM: lambda s: s.task(permit=s.collective.permit(manifests=[])),
    Refusal.MODEL_TOO_LARGE: lambda s: s.task(s.header(d=(1 << 24) + 1)),
    Refusal.UNSUPPORTED: lambda s: s.task(s.header(rotation_seed=bytes(32))),
    Refusal.TASK_EXPIRED: lambda s: s.task(expires=NOW),
    Refusal.JOB_EXPIRED: lambda s: s.task(now=NOW + 10_000, expires=NOW + 20_000),
    Refusal.TOO_MANY_ROUNDS: lambda s: s.task(s.header(round=11)),
    Refusal.PAUSED: lambda s: s.task(memory=replace(s.memory, paused=True)),
    Refusal.DAILY_LIMIT: lambda s: s.task(memory=replace(s.memory, visits=(NOW - 5,) * 100)),
    Refusal.DATA_MISSING: lambda s: s.task(missing=("ill is missing",)),
}


@pytest.mark.parametrize("expected", TASKS, ids=str)
def test_a_task_is_refused_for_the_named_reason(expected: Refusal) -> None:
    scene = Scene()
    assert refused(scene.machine.decide(TASKS[expected](scene))) is expected


@pytest.mark.parametrize(
    "changes",
    [
        {"round": 2},
        {"log_root": bytes(32)},
        {"log_size": 4},
        {"distributor_key": signing.public_key(STRANGER)},
        {"job": bytes(16)},
        {"manifest_hash": bytes(32)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_header_that_differs_from_the_task_is_refused(changes: dict[str, Any]) -> None:
    """The task is signed honestly; only the header inside says something else."""
    scene = Scene()
    honest = scene.header()
    bent = scene.header(**changes)
    event = scene.task(
        bent,
        job=honest.job,
        round=honest.round,
        manifest=honest.manifest_hash,
        checkpoint=honest.checkpoint_hash,
    )
    assert refused(scene.machine.decide(event)) is Refusal.HEADER_MISMATCH


def test_a_job_whose_log_was_never_proven_gets_no_task() -> None:
    scene = Scene()
    job = scene.memory.job(scene.job_id)
    assert job is not None
    unproven = replace(scene.memory, jobs=(replace(job, log_root=""),))
    assert refused(scene.machine.decide(scene.task(memory=unproven))) is Refusal.HEADER_MISMATCH


def test_the_first_no_wins_in_the_order_of_the_design() -> None:
    """Everything is wrong at once; repairing one thing after the other shows the next reason."""
    scene = Scene()
    everything: dict[str, Any] = {
        "permit": None,
        "private": STRANGER,
        "manifest": bytes(32),
        "expires": NOW,
        "memory": replace(scene.memory, paused=True),
        "missing": ("ill is missing",),
    }
    reasons = []
    for repaired in ("", *everything):
        everything.pop(repaired, None)
        decision = scene.machine.decide(scene.task(**everything))
        reasons.append(decision.refusal if isinstance(decision, Refused) else None)
    assert reasons == [
        Refusal.NO_PERMIT,
        Refusal.BAD_SIGNATURE,
        Refusal.WRONG_MANIFEST,
        Refusal.TASK_EXPIRED,
        Refusal.PAUSED,
        Refusal.DATA_MISSING,
        None,
    ]


def test_the_daily_limit_forgets_after_a_day() -> None:
    scene = Scene()
    scene.machine = machine(visits_per_day=2)
    memory = replace(scene.memory, visits=(NOW - DAY_SECONDS - 1, NOW - DAY_SECONDS + 1))
    accept = scene.machine.decide(scene.task(memory=memory))
    assert isinstance(accept, Accept)
    assert accept.memory.visits == (NOW - DAY_SECONDS + 1, NOW)


def test_the_noise_floor_is_a_tenth_of_the_clip_on_the_smallest_sum() -> None:
    """share × √20 ≥ 0.1 ⇒ share ≥ 0.022361; the parameter table rounds to micro-units."""
    scene = Scene()
    assert isinstance(scene.machine.decide(scene.task(scene.header(noise_micro=22_360))), Accept)
    assert (
        refused(scene.machine.decide(scene.task(scene.header(noise_micro=22_330)))) is Refusal.NOISE_TOO_LOW
    )


def payload(scene: Scene, visit: Visit, **changes: Any) -> PayloadArrived:
    values: dict[str, Any] = {
        "visit": visit,
        "permit": scene.permit,
        "manifest_hash": visit.task.manifest,
        "checkpoint_hash": visit.task.checkpoint,
        "weights_in_range": True,
        "missing": (),
        "now": NOW,
    }
    return PayloadArrived(**{**values, **changes})


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"permit": None}, Refusal.NO_PERMIT),
        ({"manifest_hash": bytes(32)}, Refusal.WRONG_PAYLOAD),
        ({"checkpoint_hash": bytes([9]) * 32}, Refusal.WRONG_PAYLOAD),
        ({"weights_in_range": False}, Refusal.WEIGHTS_OUT_OF_RANGE),
        ({"trap": True}, Refusal.TRAP_WEIGHTS),
        ({"missing": ("ill is missing",)}, Refusal.DATA_MISSING),
    ],
)
def test_a_visit_does_not_start(changes: dict[str, Any], expected: Refusal) -> None:
    scene = Scene()
    visit = scene.visit()
    assert isinstance(scene.machine.decide(payload(scene, visit)), Go)
    assert refused(scene.machine.decide(payload(scene, visit, **changes))) is expected


def test_nothing_leaves_once_the_permit_is_gone_expired_or_another() -> None:
    scene = Scene()
    visit = scene.visit()
    assert isinstance(scene.machine.decide(AboutToLeave(visit=visit, permit=scene.permit, now=NOW)), Go)
    for permit, expected in (
        (None, Refusal.NO_PERMIT),
        (scene.collective.permit(expires=NOW), Refusal.PERMIT_EXPIRED),
        (scene.collective.permit(agreement_hash="ef" * 32), Refusal.PERMIT_CHANGED),
    ):
        assert refused(scene.machine.decide(AboutToLeave(visit=visit, permit=permit, now=NOW))) is expected


def offer(collective: Collective, **changes: Any) -> OfferArrived:
    values = {
        "collective_id": collective.id,
        "envelope": collective.terms_envelope,
        "permit": None,
        "now": NOW,
    }
    return OfferArrived(**{**values, **changes})


def test_genuine_terms_are_put_to_the_holder() -> None:
    decision = machine().decide(offer(COLLECTIVE))
    assert isinstance(decision, AskHolder)
    assert decision.terms.name == "Heights"


def test_offers_are_refused_by_name() -> None:
    low = Collective(development=True, bucket_min=3, release_min=6)
    forged = {**COLLECTIVE.terms_envelope, "document": {**COLLECTIVE.terms, "purpose": "Something else."}}
    cases: list[tuple[HolderMachine, OfferArrived, Refusal]] = [
        (machine(), offer(COLLECTIVE, permit=COLLECTIVE.permit()), Refusal.ALREADY_SUBSCRIBED),
        (machine(), offer(COLLECTIVE, collective_id=str(uuid.uuid4())), Refusal.WRONG_TERMS),
        (
            machine(),
            offer(COLLECTIVE, envelope=COLLECTIVE.sign("terms", COLLECTIVE.terms, STRANGER)),
            Refusal.WRONG_TERMS,
        ),
        (machine(), offer(COLLECTIVE, envelope=forged), Refusal.BAD_SIGNATURE),
        (
            machine(),
            offer(COLLECTIVE, envelope=COLLECTIVE.sign("notice", COLLECTIVE.terms)),
            Refusal.MALFORMED,
        ),
        (machine(), offer(COLLECTIVE, envelope={}), Refusal.MALFORMED),
        (machine(), offer(low), Refusal.DEVELOPMENT_TERMS),
        (machine(bucket_min=40), offer(COLLECTIVE), Refusal.MINIMA_TOO_LOW),
    ]
    for each, event, expected in cases:
        assert refused(each.decide(event)) is expected
    assert isinstance(machine(allow_development=True).decide(offer(low)), AskHolder)


def test_wallets_of_one_host_look_at_the_same_terms_once_and_each_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[str] = []
    parse = Terms.parse

    def counted(document: Any) -> Terms:
        looked.append(document["name"])
        return parse(document)

    monkeypatch.setattr(Terms, "parse", counted)
    shared = Remembered(10)
    easy, strict = (
        HolderMachine(HolderPolicy(), remembered=shared),
        HolderMachine(HolderPolicy(bucket_min=40), remembered=shared),
    )
    terms = offer(COLLECTIVE)
    for _ in range(2):
        assert isinstance(easy.decide(terms), AskHolder)
        assert refused(strict.decide(terms)) is Refusal.MINIMA_TOO_LOW
    assert len(looked) == 1
    forged = {**COLLECTIVE.terms_envelope, "document": {**COLLECTIVE.terms, "purpose": "Something else."}}
    for _ in range(2):
        assert refused(easy.decide(offer(COLLECTIVE, envelope=forged))) is Refusal.BAD_SIGNATURE
    other = COLLECTIVE.sign("terms", COLLECTIVE.terms, STRANGER)
    assert refused(easy.decide(offer(COLLECTIVE, envelope=other))) is Refusal.WRONG_TERMS
    assert refused(easy.decide(offer(COLLECTIVE, envelope={"kind": {1}}))) is Refusal.MALFORMED
