"""Whatever a server sends: the machine never raises, rounds only grow, and nothing runs before its period."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aggregation.wire import cbor, signing
from tests.unit.agent.scene import (
    COLLECTIVE,
    NOW,
    OTHER,
    Scene,
    chosen,
    job_of_other,
    told,
)
from wallets.agent.messages import (
    Accept,
    Choice,
    Enrol,
    JobArrived,
    Memory,
    NoticeArrived,
    NoticeKept,
    OfferArrived,
    Refused,
)
from wallets.agent.refusals import LATER, SENTENCES, Refusal


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
