"""A small cast of documents: one collective that signs honestly, for tests to bend."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Mapping
from typing import Any

from aggregation.secagg.messages import Header, PhaseSeconds
from aggregation.wire import signing
from aggregation.wire.secret import Secret
from collectives.terms import agreement
from collectives.terms.algorithm import manifest_hash
from collectives.terms.canonical import canonical
from collectives.terms.description import build_terms, terms_hash
from collectives.terms.envelope import SignedDocument
from collectives.terms.permit import Permit, Task

REGISTRY = "0x" + "11" * 20
RATE = 5 * 10**15
REQUIREMENT: dict[str, Any] = {
    "type": "object",
    "title": "two numbers and a yes or no",
    "properties": {
        "height": {"type": "number", "minimum": 0, "maximum": 10, "x-feature": {"encode": "number"}},
        "weight": {"type": "number", "minimum": 0, "maximum": 10, "x-feature": {"encode": "number"}},
        "ill": {"type": "boolean", "x-feature": {"encode": "boolean"}},
    },
    "required": ["height", "weight", "ill"],
    "additionalProperties": False,
}
RECORD = {"height": 4.5, "weight": 2.5, "ill": True}
MANIFEST: dict[str, Any] = {
    "version": 1,
    "name": "logistic regression",
    "purpose": "tell ill from well",
    "inputs": ["height", "weight"],
    "target": ["ill"],
    "width_in": 2,
    "width_out": 1,
    "layers": [{"op": "linear", "out": 1, "bias": True}],
    "loss": "bce-with-logits",
    "training": {"learning_rate_micro": 1_000_000, "steps": 1},
    "output": {"kind": "gradient", "clip_micro": 1_000_000},
}


def now() -> int:
    """The wall clock, as the agents of these tests have it."""
    return int(time.time())


def manifest(**changes: Any) -> dict[str, Any]:
    """Another algorithm."""
    return {**MANIFEST, **changes}


class Collective:
    """One collective with its key, signing whatever a test asks for."""

    def __init__(self, **terms: Any) -> None:
        self.private = signing.generate(secrets.token_bytes)
        self.key = signing.public_key(self.private).hex()
        self.id = str(uuid.uuid4())
        self.chain_id, self.registry = 1337, REGISTRY
        self.permits: dict[str, dict[str, Any]] = {}
        self.outlives = 0
        values: dict[str, Any] = {
            "collective_id": self.id,
            "name": "Heights",
            "collective_key": self.key,
            "terms_version": 1,
            "purpose": "Learn who is ill.",
            "not_for": "",
            "task_description": "A logistic regression.",
            "requirement": REQUIREMENT,
            "assurance": "declared",
            "permitted_manifests": [manifest_hash(MANIFEST)],
            "rate": RATE,
            "token": "DEV",
            "notice_seconds": 1000,
            "silence": "without",
            "bucket_min": 20,
            "release_min": 100,
            "privacy_level": "aggregate",
            "order_policy": "open",
            "agreement": {"chain_id": self.chain_id, "registry": self.registry},
            "valid_seconds": 86_400,
            "development": False,
            "created": 1,
        }
        self.terms = build_terms(**{**values, **terms})
        self.terms_envelope = self.sign("terms", self.terms)

    def sign(self, kind: str, document: Mapping[str, Any], private: Secret | None = None) -> dict[str, Any]:
        """An envelope."""
        return SignedDocument.sign(kind, document, private or self.private).to_json()

    def permit_for(self, subscription: Mapping[str, Any]) -> dict[str, Any]:
        """Verify a subscription as a collective does, and grant it."""
        signed = SignedDocument.from_json(subscription)
        document = signed.open("subscription", subscription["document"]["subscription_key"])
        hashed = agreement.agreement_hash(document["agreement"])
        envelope = self.sign(
            "permit",
            self.permit_document(
                subscription_key=document["subscription_key"],
                agreement_hash=hashed,
                expires=int(document["agreement"]["validUntil"]) + self.outlives,
            ),
        )
        self.permits[document["subscription_key"]] = envelope
        return envelope

    def permit_document(self, **changes: Any) -> dict[str, Any]:
        """What a permit of these terms says."""
        values = {
            "version": 1,
            "collective_id": self.id,
            "collective_key": self.key,
            "name": self.terms["name"],
            "terms_hash": terms_hash(self.terms),
            "requirement_hash": self.terms["requirement_hash"],
            "subscription_key": "ab" * 32,
            "agreement_hash": "cd" * 32,
            "manifests": self.terms["permitted_manifests"],
            "algorithm_class": None,
            "notice_seconds": self.terms["notice_seconds"],
            "silence": self.terms["silence"],
            "rate": self.terms["rate"],
            "bucket_min": self.terms["bucket_min"],
            "release_min": self.terms["release_min"],
            "issued": 1,
            "expires": 2**40,
        }
        return {**values, **changes}

    def permit(self, **changes: Any) -> Permit:
        """A permit as the machine sees it."""
        return Permit.parse(self.permit_document(**changes))

    def notice(self, algorithm: Mapping[str, Any], at: int, **changes: Any) -> dict[str, Any]:
        """A signed notice of a new algorithm."""
        document = {
            "version": 1,
            "collective_id": self.id,
            "notice_ref": "n1",
            "subject": "algorithm",
            "reason": "It is better.",
            "manifest": dict(algorithm),
            "manifest_hash": manifest_hash(algorithm),
            "announced": at,
            "effective": at + self.terms["notice_seconds"],
            "silence": self.terms["silence"],
        }
        return self.sign("notice", {**document, **changes})

    def job(
        self, at: int, *, distributor_key: str = "aa" * 32, aggregator_key: str = "bb" * 32, **changes: Any
    ) -> dict[str, Any]:
        """A signed job announcement."""
        document = {
            "version": 1,
            "collective_id": self.id,
            "job_id": str(uuid.uuid4()),
            "manifest": MANIFEST,
            "manifest_hash": manifest_hash(MANIFEST),
            "rate": self.terms["rate"],
            "token": "DEV",
            "max_rounds": 10,
            "cohort": 100,
            "bucket_min": self.terms["bucket_min"],
            "release_min": self.terms["release_min"],
            "cohort_commitment": "ee" * 32,
            "distributor_key": distributor_key,
            "aggregator_key": aggregator_key,
            "enrol_until": at + 100,
            "expires": at + 10_000,
        }
        return self.sign("job", {**document, **changes})

    def task(
        self, header: Header, at: int, *, private: Secret | None = None, **changes: Any
    ) -> tuple[bytes, bytes]:
        """A signed task for a header."""
        values: dict[str, Any] = {
            "collective": uuid.UUID(self.id).bytes,
            "job": header.job,
            "round": header.round,
            "header": header.to_bytes(),
            "manifest": header.manifest_hash,
            "requirement": bytes.fromhex(self.terms["requirement_hash"]),
            "checkpoint": header.checkpoint_hash,
            "rate": int(self.terms["rate"]),
            "expires": at + 600,
        }
        return Task(**{**values, **changes}).sign(private or self.private)


def header(job_id: str, *, log_root: bytes, log_size: int, distributor_key: bytes, **changes: Any) -> Header:
    """A header that fits the documents above."""
    values: dict[str, Any] = {
        "job": uuid.UUID(job_id).bytes,
        "round": 1,
        "manifest_hash": bytes.fromhex(manifest_hash(MANIFEST)),
        "checkpoint_hash": bytes(32),
        "d": 3,
        "q": 20,
        "f": 12,
        "clip_micro": 1_000_000,
        "noise_micro": 30_000,
        "bucket_size": 50,
        "bucket_min": 20,
        "release_min": 100,
        "threshold_ppm": 600_000,
        "log_root": log_root,
        "log_size": log_size,
        "distributor_key": distributor_key,
        "deadlines": PhaseSeconds(advertise=20, share_keys=20, masked_input=20, consistency=20, unmask=20),
    }
    return Header(**{**values, **changes})


def manifest_bytes(document: Mapping[str, Any] = MANIFEST) -> bytes:
    """The RFC 8785 form a payload carries."""
    return canonical(document)
