"""Decisions of a holder's machine as a table: what comes in, what must come out. Written by `generate`, from the Python machine.

Every refusal the machine has a name for is reached at least once, and every kind of decision. Bytes are hex; a permit is its document;
a visit is what was accepted, with the CBOR body of its task.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any
from unittest import mock

from aggregation.privacy.rotation import seed_of
from aggregation.secagg.messages import Header
from aggregation.wire import cbor, signing
from aggregation.wire.merkle import MerkleLog
from collectives.terms.description import terms_hash, words_for_agreement
from tests.unit.agent import documents
from tests.unit.agent.documents import Collective
from tests.unit.agent.scene import NOW, OTHER, OTHER_HASH, STRANGER, Scene
from tests.unit.secagg.pair import Entropy
from wallets.agent.limits import OwnLimits
from wallets.agent.machine import HolderMachine
from wallets.agent.messages import (
    DAY_SECONDS,
    AboutToLeave,
    Accept,
    AskHolder,
    Choice,
    Decision,
    HolderPolicy,
    Input,
    JobArrived,
    Memory,
    NoticeAnswered,
    NoticeArrived,
    OfferArrived,
    PayloadArrived,
    Refused,
    TaskArrived,
    Visit,
)

Case = tuple[str, Input, dict[str, Any]]
BY_OTHERS = frozenset(
    {
        *("malformed_frame", "huge_frame", "clock_skew", "wrong_server"),
        *("job_privacy_budget", "person_privacy_budget"),
        *("shape_mismatch", "not_initial", "ratio_too_high", "answered_once"),
    }
)
"""Refusals of the session, of the person's ledger and of `rules`, not of one collective's inputs."""


@contextmanager
def fixed(seed: str) -> Iterator[None]:
    """Keys and ids of the cast are the same every time."""
    draw = Entropy(seed)
    ids = mock.patch.object(documents.uuid, "uuid4", lambda: uuid.UUID(bytes=draw(16), version=4))
    with mock.patch.object(documents.secrets, "token_bytes", draw), ids:
        yield


def decision_vectors() -> dict[str, Any]:
    with fixed("decisions"):
        cases = list(every_case())
    return {
        "policy": asdict(HolderPolicy()),
        "cases": [
            {
                "why": why,
                "policy": policy,
                "event": said(event),
                "decision": decided(HolderMachine(HolderPolicy(**policy)).decide(event)),
            }
            for why, event, policy in cases
        ],
    }


def every_case() -> Iterator[Case]:
    scene, low = Scene(Collective()), Collective(development=True, bucket_min=3, release_min=6)
    full = Collective(sandbox="full", not_for="Advertising.", silence="with")
    for part in (offers(scene.collective, low, full), notices(scene), jobs(scene), logs(scene), tasks(scene)):
        for case in part:
            yield case if len(case) == 3 else (*case, {})
    yield from ((*case, {}) for case in visits(scene))


def offers(honest: Collective, low: Collective, full: Collective) -> Iterator[Any]:
    def offer(collective: Collective, **changes: Any) -> OfferArrived:
        values = {
            "collective_id": collective.id,
            "envelope": collective.terms_envelope,
            "permit": None,
            "now": NOW,
        }
        return OfferArrived(**{**values, **changes})

    def resigned(**changes: Any) -> OfferArrived:
        return offer(honest, envelope=honest.sign("terms", {**honest.terms, **changes}))

    forged = {**honest.terms_envelope, "document": {**honest.terms, "purpose": "Something else."}}
    yield "genuine terms", offer(honest)
    yield "genuine terms that ask for a full sandbox", offer(full)
    yield "genuine terms with a formal privacy budget", resigned(privacy_level="formal")
    yield "subscribed already", offer(honest, permit=honest.permit())
    yield "offered under another id", offer(honest, collective_id=full.id)
    yield "signed by a stranger", offer(honest, envelope=honest.sign("terms", honest.terms, STRANGER))
    yield "changed after signing", offer(honest, envelope=forged)
    yield "another kind of document", offer(honest, envelope=honest.sign("notice", honest.terms))
    yield "no envelope", offer(honest, envelope={})
    yield "an unknown field", resigned(surprise=1)
    yield "a rate outside the shared ones", resigned(rate="7")
    yield "invisible writing in the purpose", resigned(purpose="for good\u202egnihton")
    yield "a requirement that is none", resigned(requirement={"type": "object", "pattern": "x"})
    yield "the hash of another requirement", resigned(requirement_hash="00" * 32)
    yield "development terms", offer(low)
    yield "development terms, allowed", offer(low), {"allow_development": True}
    yield "minima below the holder's", offer(honest), {"bucket_min": 40}


def notices(scene: Scene) -> Iterator[Any]:
    def notice(
        memory: Memory | None = None, permit: Any = scene.permit, now: int = NOW, **changes: Any
    ) -> NoticeArrived:
        envelope = changes.pop("envelope", None) or scene.collective.notice(OTHER, NOW, **changes)
        return NoticeArrived(envelope=envelope, permit=permit, memory=memory or scene.memory, now=now)

    kept = scene.machine.decide(notice()).memory  # type: ignore[union-attr]
    stranger = scene.collective.sign("notice", scene.collective.notice(OTHER, NOW)["document"], STRANGER)
    yield "a notice", notice()
    yield "the same notice later", notice(kept, now=NOW + 500)
    yield "no permit", notice(permit=None)
    yield "a permit that ended", notice(permit=scene.collective.permit(expires=NOW))
    yield "signed by a stranger", notice(envelope=stranger)
    yield "too short", notice(effective=NOW + 999)
    yield "about another collective", notice(collective_id=str(uuid.UUID(int=7)))
    yield "the hash of another manifest", notice(manifest_hash="00" * 32)
    yield (
        "a manifest that is none",
        notice(envelope=scene.collective.notice(documents.manifest(loss="none"), NOW)),
    )
    small = scene.collective.permit(algorithm_class={"purpose": "x", "max_parameters": 2})
    yield "outside the agreed class", notice(permit=small)
    yield "a flood", notice(kept, notice_ref="n2"), {"notices_kept": 1}
    for choice in Choice:
        yield f"answered: {choice}", NoticeAnswered(notice_ref="n1", choice=choice, memory=kept)
    yield "an answer to nothing", NoticeAnswered(notice_ref="n9", choice=Choice.WITH, memory=kept)


def jobs(scene: Scene) -> Iterator[Any]:
    fresh = Memory()

    def job(memory: Memory = fresh, permit: Any = scene.permit, now: int = NOW, **changes: Any) -> JobArrived:
        envelope = changes.pop("envelope", None) or scene.collective.job(NOW, **changes)
        return JobArrived(envelope=envelope, permit=permit, memory=memory, now=now)

    told = NoticeArrived(
        envelope=scene.collective.notice(OTHER, NOW), permit=scene.permit, memory=scene.memory, now=NOW
    )
    silent = scene.machine.decide(told).memory  # type: ignore[union-attr]
    answer = NoticeAnswered(notice_ref="n1", choice=Choice.WITH, memory=silent)
    willing = scene.machine.decide(answer).memory  # type: ignore[union-attr]
    other: dict[str, Any] = {"manifest": OTHER, "manifest_hash": OTHER_HASH}
    yield "a job", job()
    yield "a job known already", job(scene.memory, envelope=scene.job_envelope)
    yield "no permit", job(permit=None)
    yield (
        "signed by a stranger",
        job(envelope=scene.collective.sign("job", scene.job_envelope["document"], STRANGER)),
    )
    yield "another rate", job(rate=str(documents.RATE * 2))
    yield "a smaller bucket", job(bucket_min=19)
    yield "a smaller release", job(release_min=99)
    yield "ended", job(expires=NOW)
    yield "enrolment is over", job(enrol_until=NOW - 1)
    yield "of another collective", job(collective_id=str(uuid.UUID(int=7)))
    yield "a word for a number", job(max_rounds="ten")
    yield "paused", job(Memory(paused=True))
    yield "never announced", job(**other)
    yield "announced, the holder is silent", job(silent, now=NOW + 1000, **other, enrol_until=NOW + 2000)
    yield "announced, the notice runs past the enrolment", job(willing, now=NOW + 1, **other)
    yield "announced, soon", job(willing, now=NOW + 1, **other, enrol_until=NOW + 2000)
    yield "announced and seen in full", job(willing, now=NOW + 1000, **other, enrol_until=NOW + 2000)
    yield "too many jobs", job(scene.memory), {"jobs_kept": 1}


def logs(scene: Scene) -> Iterator[Any]:
    known = scene.memory.job(scene.job_id)
    assert known is not None
    unproven = replace(scene.memory, jobs=(replace(known, log_root=""),))
    grown = MerkleLog([b"other", scene.leaf, b"third", b"fourth"])
    yield "a proven place", scene.frozen(unproven)
    for changes in ({"signature": bytes(64)}, {"index": 0}, {"leaf": b"another"}, {"proof": ()}, {"size": 2}):
        yield f"a false {next(iter(changes))}", scene.frozen(unproven, **changes)
    yield (
        "a log that freezes twice",
        scene.frozen(scene.memory, root=grown.root, size=4, proof=tuple(grown.proof(1))),
    )
    yield "a job nobody enrolled in", scene.frozen(Memory())


def tasks(scene: Scene) -> Iterator[Any]:
    def header(**changes: Any) -> Header:
        return scene.header(**changes)

    def differing(**changes: Any) -> TaskArrived:
        honest = scene.header()
        return scene.task(
            header(**changes), job=honest.job, round=honest.round, manifest=honest.manifest_hash
        )

    def limited(limits: dict[str, int], **memory: Any) -> TaskArrived:
        return scene.task(memory=replace(scene.memory, limits=OwnLimits(**limits), **memory))

    accepted = scene.machine.decide(scene.task())
    assert isinstance(accepted, Accept)
    yield "a task", scene.task()
    yield "the same round again", scene.task(memory=accepted.memory)
    yield "no permit", scene.task(permit=None)
    yield "a permit that ended", scene.task(permit=scene.collective.permit(expires=NOW))
    yield "no task at all", scene.task(body=b"\xff")
    yield "signed by a stranger", scene.task(private=STRANGER)
    yield "of another collective", scene.task(collective=bytes(16))
    yield "of a job nobody enrolled in", scene.task(memory=Memory())
    body, signature = bent(scene)
    yield "a header that is none", scene.task(body=body, signature=signature)
    yield "other data", scene.task(requirement=bytes(32))
    yield "another manifest", scene.task(manifest=bytes(32))
    yield "another rate", scene.task(rate=documents.RATE - 1)
    yield (
        "the checkpoint in the header differs",
        scene.task(header(checkpoint_hash=bytes([1]) * 32), checkpoint=bytes(32)),
    )
    for changes in ({"round": 2}, {"log_root": bytes(32)}, {"log_size": 4}, {"manifest_hash": bytes(32)}):
        yield f"the header's {next(iter(changes))} differs", differing(**changes)
    yield "another distributor", differing(distributor_key=signing.public_key(STRANGER))
    yield "a smaller bucket than agreed", scene.task(permit=scene.collective.permit(bucket_min=30))
    yield "too little noise", scene.task(header(noise_micro=22_330))
    yield "just enough noise", scene.task(header(noise_micro=22_360))
    yield "no noise", scene.task(header(noise_micro=0))
    yield "never announced", scene.task(permit=scene.collective.permit(manifests=[]))
    yield "a rotation by a seed somebody picked", scene.task(header(rotation_seed=bytes(32)))
    plain = header()
    seed = seed_of(job=plain.job, number=plain.round, checkpoint=plain.checkpoint_hash)
    yield "a rotation by the round's public seed", scene.task(header(rotation_seed=seed))
    yield "as many numbers as the holder computes", scene.task(), {"largest_update": 3}
    yield "more numbers than the holder computes", scene.task(), {"largest_update": 2}
    yield "a task that expired", scene.task(expires=NOW)
    yield "a job that ended", scene.task(now=NOW + 10_000, expires=NOW + 20_000)
    yield "a round too many", scene.task(header(round=11))
    yield "paused", scene.task(memory=replace(scene.memory, paused=True))
    yield "the daily limit", scene.task(memory=replace(scene.memory, visits=(NOW - 5,) * 100))
    yesterday = (NOW - DAY_SECONDS - 1, NOW - DAY_SECONDS + 1)
    yield (
        "yesterday is forgotten",
        scene.task(memory=replace(scene.memory, visits=yesterday)),
        {"visits_per_day": 2},
    )
    yield "own daily limit", limited({"visits_per_day": 1}, visits=(NOW - 5,), visited=1)
    yield "own limit in all", limited({"visits_total": 3}, visited=3)
    yield "own smallest bucket", limited({"bucket_min": 21})
    yield "own privacy budget", limited({"privacy_micro": 27_801_282})
    yield "own privacy budget, just kept", limited({"privacy_micro": 27_801_283})
    yield "the sandbox does not fit", replace(scene.task(), sandbox_fits=False)
    yield "data is missing", scene.task(missing=("ill is missing", "a", "b", "c"))


def bent(scene: Scene) -> tuple[bytes, bytes]:
    """A task signed by the collective around something that is no header."""
    body, _ = scene.collective.task(scene.header(), NOW)
    changed = {**cbor.decode(body), "header": b"\xa0"}
    return cbor.encode(changed), signing.sign(scene.collective.private, b"cssi/v1/task", changed)


def visits(scene: Scene) -> Iterator[Any]:
    visit = scene.visit()

    def payload(**changes: Any) -> PayloadArrived:
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

    yield "the model", payload()
    yield "the permit is gone", payload(permit=None)
    yield "another model", payload(manifest_hash=bytes(32))
    yield "another checkpoint", payload(checkpoint_hash=bytes([9]) * 32)
    yield "weights out of range", payload(weights_in_range=False)
    yield "a trap", payload(trap=True)
    yield "data is missing", payload(missing=("ill is missing",))
    for why, permit in (
        ("something leaves", scene.permit),
        ("nothing leaves without a permit", None),
        ("nothing leaves under an ended one", scene.collective.permit(expires=NOW)),
        ("nor under another one", scene.collective.permit(agreement_hash="ef" * 32)),
    ):
        yield why, AboutToLeave(visit=visit, permit=permit, now=NOW)


# --- as JSON ------------------------------------------------------------------------------------------------------


def said(event: Input) -> dict[str, Any]:
    """An input with its kind; of nested parts only what another implementation can read."""
    values: dict[str, Any] = {name: getattr(event, name) for name in event.__dataclass_fields__}
    if "memory" in values:
        values["memory"] = values["memory"].to_record()
    if values.get("permit") is not None:
        values["permit"] = values["permit"].to_document()
    if "visit" in values:
        values["visit"] = {**visited(values["visit"]), "task": cbor.encode(values["visit"].task.body())}
    return {"kind": type(event).__name__, **values}


def visited(visit: Visit) -> dict[str, Any]:
    return {
        "collective_id": visit.collective_id,
        "collective_key": visit.collective_key,
        "agreement_hash": visit.agreement_hash,
        "job": asdict(visit.job),
    }


def decided(decision: Decision) -> dict[str, Any]:
    kind = {"kind": type(decision).__name__}
    if isinstance(decision, Refused):
        word, sentence = decision.refusal.wire, decision.sentence
        return {
            **kind,
            "refusal": decision.refusal.value,
            "detail": decision.detail,
            "sentence": sentence,
            "wire": word,
        }
    if isinstance(decision, AskHolder):
        return {
            **kind,
            "terms_hash": terms_hash(decision.terms),
            "words": words_for_agreement(decision.terms),
        }
    values = {name: getattr(decision, name) for name in decision.__dataclass_fields__}
    if "memory" in values:
        values["memory"] = values["memory"].to_record()
    for name in ("seen", "job"):
        if name in values:
            values[name] = asdict(values[name])
    if isinstance(decision, Accept):
        values["visit"] = visited(decision.visit)
    return kind | values
