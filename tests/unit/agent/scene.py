"""A holder's machine with a wallet in a frozen log, and what is told to it."""

from __future__ import annotations

import uuid
from typing import Any

from aggregation.secagg.messages import Header, log_leaf
from aggregation.wire import signing
from aggregation.wire.merkle import MerkleLog
from aggregation.wire.secret import Secret
from collectives.terms.algorithm import manifest_hash
from collectives.terms.permit import Permit
from tests.unit.agent import documents
from tests.unit.agent.documents import Collective
from wallets.agent.machine import HolderMachine
from wallets.agent.messages import (
    Accept,
    Choice,
    ChoiceKept,
    Decision,
    Enrol,
    HolderPolicy,
    JobArrived,
    LogFrozen,
    Memory,
    NoticeAnswered,
    NoticeArrived,
    NoticeKept,
    Placed,
    Refused,
    TaskArrived,
    Visit,
)
from wallets.agent.refusals import Refusal

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
