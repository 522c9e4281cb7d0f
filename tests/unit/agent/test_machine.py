"""The holder's machine: every refusal has a test, the order of checks holds, and nothing a server sends makes it raise."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregation.secagg.messages import Header, log_leaf
from aggregation.wire import cbor, signing
from aggregation.wire.merkle import MerkleLog
from aggregation.wire.secret import Secret
from collectives.terms.algorithm import manifest_hash
from collectives.terms.permit import Permit
from tests.unit.agent import documents
from tests.unit.agent.documents import Collective
from wallets.agent.limits import UNBOUNDED, OwnLimits, epsilon_of, privacy_cost
from wallets.agent.machine import HolderMachine
from wallets.agent.messages import (
    DAY_SECONDS,
    AboutToLeave,
    Accept,
    AskHolder,
    Choice,
    ChoiceKept,
    Decision,
    Enrol,
    EnrolLater,
    Go,
    HolderPolicy,
    JobArrived,
    LogFrozen,
    Memory,
    NoticeAnswered,
    NoticeArrived,
    NoticeKept,
    OfferArrived,
    PayloadArrived,
    Placed,
    Refused,
    TaskArrived,
    Visit,
)
from wallets.agent.refusals import LATER, SENTENCES, Refusal

NOW = 1_800_000_000
DISTRIBUTOR = Secret(b"d" * 32)
JOB_KEY = signing.public_key(Secret(b"j" * 32))
STRANGER = Secret(b"s" * 32)
COLLECTIVE = Collective()
OTHER = documents.manifest(name="another")
OTHER_HASH = manifest_hash(OTHER)


def machine(**policy: Any) -> HolderMachine:
    return HolderMachine(HolderPolicy(**policy))


def refused(decision: Decision) -> Refusal:
    assert isinstance(decision, Refused), decision
    assert decision.sentence
    return decision.refusal


class Scene:
    """An enrolled wallet in a frozen log, ready for the first task."""

    def __init__(self, collective: Collective = COLLECTIVE) -> None:
        self.collective = collective
        self.permit: Permit | None = collective.permit()
        self.machine = machine()
        self.job_envelope = collective.job(NOW, distributor_key=signing.public_key(DISTRIBUTOR).hex())
        self.job_id = self.job_envelope["document"]["job_id"]
        event = JobArrived(envelope=self.job_envelope, permit=self.permit, memory=Memory(), now=NOW)
        enrol = self.machine.decide(event)
        assert isinstance(enrol, Enrol)
        self.leaf = log_leaf(job=uuid.UUID(self.job_id).bytes, job_key=JOB_KEY, expires=NOW + 10_000)
        self.log = MerkleLog([b"other", self.leaf, b"third"])
        placed = self.machine.decide(self.frozen(enrol.memory))
        assert isinstance(placed, Placed)
        self.memory = placed.memory

    def frozen(self, memory: Memory, **changes: Any) -> LogFrozen:
        root, size = changes.pop("root", self.log.root), changes.pop("size", 3)
        body = {"job": uuid.UUID(self.job_id).bytes, "root": root, "size": size}
        values: dict[str, Any] = {
            "job_id": self.job_id,
            "leaf": self.leaf,
            "index": 1,
            "size": size,
            "root": root,
            "proof": tuple(self.log.proof(1)),
            "signature": signing.sign(DISTRIBUTOR, b"cssi/v1/log", body),
            "memory": memory,
        }
        return LogFrozen(**{**values, **changes})

    def header(self, **changes: Any) -> Header:
        values = {
            "log_root": self.log.root,
            "log_size": 3,
            "distributor_key": signing.public_key(DISTRIBUTOR),
        }
        return documents.header(self.job_id, **{**values, **changes})

    def task(self, header: Header | None = None, **changes: Any) -> TaskArrived:
        event = {
            name: changes.pop(name)
            for name in ("permit", "memory", "missing", "now", "body", "signature")
            if name in changes
        }
        body, signature = self.collective.task(header or self.header(), NOW, **changes)
        values: dict[str, Any] = {
            "body": body,
            "signature": signature,
            "permit": self.permit,
            "memory": self.memory,
            "missing": (),
            "now": NOW,
        }
        return TaskArrived(**{**values, **event})

    def visit(self) -> Visit:
        accept = self.machine.decide(self.task())
        assert isinstance(accept, Accept)
        return accept.visit


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


# notices


def told(scene: Scene, at: int, **changes: Any) -> Memory:
    event = NoticeArrived(
        envelope=scene.collective.notice(OTHER, at, **changes),
        permit=scene.permit,
        memory=scene.memory,
        now=at,
    )
    kept = scene.machine.decide(event)
    assert isinstance(kept, NoticeKept)
    assert not kept.repeated
    return kept.memory


def job_of_other(scene: Scene, memory: Memory, now: int, until: int | None = None) -> Decision:
    changes: dict[str, Any] = {"manifest": OTHER, "manifest_hash": OTHER_HASH}
    if until is not None:
        changes["enrol_until"] = until
    return scene.machine.decide(
        JobArrived(envelope=scene.collective.job(now, **changes), permit=scene.permit, memory=memory, now=now)
    )


def chosen(scene: Scene, memory: Memory, choice: Choice) -> ChoiceKept:
    kept = scene.machine.decide(NoticeAnswered(notice_ref="n1", choice=choice, memory=memory))
    assert isinstance(kept, ChoiceKept)
    return kept


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


def test_an_algorithm_outside_the_agreed_class_cannot_be_announced() -> None:
    scene = Scene()
    permit = scene.collective.permit(algorithm_class={"purpose": "x", "max_parameters": 2})
    event = NoticeArrived(
        envelope=scene.collective.notice(OTHER, NOW), permit=permit, memory=scene.memory, now=NOW
    )
    assert refused(scene.machine.decide(event)) is Refusal.OUTSIDE_CLASS


# jobs


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


# visits


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


# offers


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


# all of it


def test_every_refusal_has_a_sentence_and_only_vague_words_leave() -> None:
    assert set(SENTENCES) == set(Refusal)
    assert {refusal.wire for refusal in Refusal} == {"no", "later"}
    assert all(refusal.wire == "later" for refusal in LATER)


def test_memory_survives_the_store() -> None:
    scene = Scene()
    memory = chosen(scene, told(scene, NOW), Choice.WITH).memory
    assert Memory.from_record(memory.to_record()) == memory
    assert Memory.from_record(None) == Memory()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
SCENE = Scene()


@settings(max_examples=300, deadline=None)
@given(envelope=JSON, kind=st.sampled_from([OfferArrived, NoticeArrived, JobArrived]), signed=st.booleans())
def test_no_document_makes_it_raise(envelope: Any, kind: Any, signed: bool) -> None:
    """Arbitrary JSON, bare or properly signed by the collective, is refused by name."""
    name = {OfferArrived: "terms", NoticeArrived: "notice", JobArrived: "job"}[kind]
    if signed and isinstance(envelope, dict):
        try:
            envelope = COLLECTIVE.sign(name, envelope)
        except Exception:
            signed = False  # what cannot be canonical cannot be signed
    values: dict[str, Any] = {"envelope": envelope, "permit": COLLECTIVE.permit(), "now": NOW}
    if kind is OfferArrived:
        values |= {"collective_id": COLLECTIVE.id, "permit": None}
    else:
        values |= {"memory": SCENE.memory}
    assert isinstance(SCENE.machine.decide(kind(**values)), Refused)


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=200), signature=st.binary(max_size=70), sign=st.booleans())
def test_no_task_bytes_make_it_raise_or_accept(body: bytes, signature: bytes, sign: bool) -> None:
    if sign:
        signature = signing.sign(COLLECTIVE.private, b"cssi/v1/task", {"v": body})
        body = cbor.encode({"v": body})
    event = SCENE.task(body=body, signature=signature)
    assert isinstance(SCENE.machine.decide(event), Refused)


@settings(max_examples=200, deadline=None)
@given(
    rounds=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    gone=st.sets(st.integers(0, 11), max_size=3),
)
def test_accepted_rounds_only_grow_and_never_without_a_permit(rounds: list[int], gone: set[int]) -> None:
    memory, accepted = SCENE.memory, []
    for position, number in enumerate(rounds):
        permit = None if position in gone else SCENE.permit
        event = SCENE.task(SCENE.header(round=number), memory=memory, permit=permit)
        decision = SCENE.machine.decide(event)
        if isinstance(decision, Accept):
            assert permit is not None
            accepted.append(number)
            memory = decision.memory
    assert accepted == sorted(set(accepted))
    assert all(number <= 10 for number in accepted)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, 3000), first_seen=st.integers(0, 3000), choice=st.sampled_from([None, *Choice]))
def test_no_manifest_runs_before_its_period_was_seen(at: int, first_seen: int, choice: Choice | None) -> None:
    scene = SCENE
    envelope = scene.collective.notice(OTHER, NOW)
    kept = scene.machine.decide(
        NoticeArrived(envelope=envelope, permit=scene.permit, memory=Memory(), now=NOW + first_seen)
    )
    assert isinstance(kept, NoticeKept)
    memory = chosen(scene, kept.memory, choice).memory if choice else kept.memory
    decision = job_of_other(scene, memory, NOW + at)
    if isinstance(decision, Enrol):
        assert choice is Choice.WITH
        assert at >= first_seen + 1000


def with_limits(scene: Scene, **limits: int) -> Memory:
    return replace(scene.memory, limits=OwnLimits(**limits))


@pytest.mark.parametrize(
    "limits, used, expected",
    [
        ({"visits_per_day": 1}, {"visits": (NOW - 5,), "visited": 1}, Refusal.DAILY_LIMIT),
        ({"visits_total": 3}, {"visited": 3}, Refusal.TOTAL_LIMIT),
        ({"bucket_min": 21}, {}, Refusal.MINIMA_TOO_LOW),
        ({"release_min": 101}, {}, Refusal.MINIMA_TOO_LOW),
        ({"privacy_micro": 27_777_777}, {}, Refusal.PRIVACY_BUDGET),
        ({"privacy_micro": 40_000_000}, {"spent_micro": 20_000_000}, Refusal.PRIVACY_BUDGET),
    ],
)
def test_the_holders_own_limits_for_a_collective_beat_the_permit(
    limits: dict[str, int], used: dict[str, Any], expected: Refusal
) -> None:
    """A header with clip 1, σ share 0.03 and sums of 20 costs ρ = 1 / (2 · 20 · 0.03²) = 27.78."""
    scene = Scene()
    memory = replace(with_limits(scene, **limits), **used)
    assert refused(scene.machine.decide(scene.task(memory=memory))) is expected


def test_within_the_limits_every_visit_is_counted_and_charged() -> None:
    scene = Scene()
    memory = with_limits(scene, visits_total=2, privacy_micro=60_000_000, bucket_min=20, release_min=100)
    accept = scene.machine.decide(scene.task(memory=memory))
    assert isinstance(accept, Accept)
    assert (accept.memory.visited, accept.memory.spent_micro) == (1, 27_777_778)
    assert Memory.from_record(accept.memory.to_record()) == accept.memory
    assert accept.memory.limits == memory.limits


def test_a_limit_above_the_wallets_own_does_not_raise_it() -> None:
    scene = Scene()
    scene.machine = machine(visits_per_day=1)
    memory = replace(with_limits(scene, visits_per_day=50), visits=(NOW - 5,))
    assert refused(scene.machine.decide(scene.task(memory=memory))) is Refusal.DAILY_LIMIT


def test_privacy_costs_follow_the_noise() -> None:
    """More noise, or more wallets in the smallest sum, costs less; no noise costs more than any budget."""
    scene = Scene()
    cost = privacy_cost(scene.header())
    assert privacy_cost(scene.header(noise_micro=60_000)) == pytest.approx(cost / 4, rel=1e-6)
    assert privacy_cost(scene.header(bucket_min=40)) == pytest.approx(cost / 2, rel=1e-6)
    assert privacy_cost(replace_noise(scene.header())) == UNBOUNDED
    assert epsilon_of(0) == 0
    assert epsilon_of(500_000) == pytest.approx(0.5 + 2 * (0.5 * math.log(1e6)) ** 0.5)


def replace_noise(header: Header) -> Header:
    """The same header without noise; a real one could not be made."""
    bare = object.__new__(Header)
    for name in Header.__dataclass_fields__:
        object.__setattr__(bare, name, getattr(header, name))
    object.__setattr__(bare, "noise_micro", 0)
    return bare


def test_a_sandbox_that_does_not_fit_runs_nothing() -> None:
    scene = Scene()
    assert refused(scene.machine.decide(replace(scene.task(), sandbox_fits=False))) is Refusal.SANDBOX_TOO_LOW
