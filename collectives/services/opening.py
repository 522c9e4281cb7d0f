"""What a job says to the distributor and the aggregator: its announcement, a round's parameters, and the signed task."""

from __future__ import annotations

import base64
import time
from typing import Any

from django.conf import settings

from aggregation.wire import cbor
from collectives.models import Job, Round
from collectives.services.keys import signing_key
from collectives.services.plan import JobPlan
from collectives.services.privacy import answer_length, clip_of, mechanism_of, rule_of
from collectives.terms.algorithm import Manifest
from collectives.terms.canonical import canonical
from collectives.terms.envelope import SignedDocument
from collectives.terms.permit import JobAnnouncement, Task

JOB_DAYS = 30
SPARE_SECONDS = 60
"""A task stays valid for this much longer than its phases take at most."""

NUMBERS_PER_ROUND = 3
"""Round numbers announced per round of the model. An abandoned round uses a number too, and wallets refuse numbers above what
was announced to them."""


def last_number(job: Job) -> int:
    """The highest round number that the job's wallets take part in."""
    return int(job.max_rounds) * NUMBERS_PER_ROUND


def terms_of(job: Job) -> dict[str, Any]:
    """The current terms. The rate is the job's own; minima are those every permit has at least agreed to."""
    terms = job.collective.terms.first()
    assert terms is not None
    return dict(terms.document)


def announcement(job: Job, found: dict[str, Any]) -> dict[str, Any]:
    """The signed envelope that asks subscribers to enrol; `found` is the distributor's answer about the job."""
    terms, plan, now = terms_of(job), JobPlan.from_json(job.plan), int(time.time())
    document = JobAnnouncement(
        collective_id=str(job.collective_id),
        job_id=str(job.pk),
        manifest=job.algorithm.manifest,
        manifest_hash=job.algorithm.manifest_hash,
        rate=int(job.rate),
        token=terms["token"],
        max_rounds=last_number(job),
        cohort=plan.cohort,
        bucket_min=terms["bucket_min"],
        release_min=terms["release_min"],
        cohort_commitment=found["cohort_commitment"],
        distributor_key=found["distributor_key"],
        aggregator_key=settings.AGGREGATOR_KEY,
        enrol_until=now + plan.enrol_seconds,
        expires=now + JOB_DAYS * 86400,
    ).to_document()
    return SignedDocument.sign("job", document, signing_key(job.collective)).to_json()


def parameters(job: Job, manifest: Manifest, checkpoint: bytes) -> dict[str, Any]:
    """What the aggregator builds a round's header from."""
    terms, plan = terms_of(job), JobPlan.from_json(job.plan)
    clip = clip_of(job, manifest)
    return {
        "manifest_hash": manifest.hash,
        "checkpoint_hash": checkpoint.hex(),
        "requirement_hash": terms["requirement_hash"],
        "d": answer_length(manifest, plan),
        "clip_micro": clip,
        "noise_micro": mechanism_of(job, manifest, terms).share_micro,
        "q": plan.value_bits,
        "f": plan.fraction_bits,
        "bucket_size": plan.bucket_size,
        "bucket_min": terms["bucket_min"],
        "release_min": terms["release_min"],
        "cohort": plan.cohort,
        "development": terms["development"],
        "phase_seconds": dict(plan.phase_seconds),
        "rotated": plan.rotated,
        "rule": rule_of(job, terms),
    }


def dispatch(job: Job, current: Round, *, header: bytes, checkpoint: bytes, weights: bytes) -> dict[str, Any]:
    """The distributor's order: one task for everybody and its payload.

    Asked again it gives the same bytes, so the task's end is counted from the round's beginning.
    """
    terms, plan = terms_of(job), JobPlan.from_json(job.plan)
    lasts = plan.accept_seconds + sum(plan.phase_seconds.values()) + SPARE_SECONDS
    task = Task(
        collective=job.collective_id.bytes,
        job=job.pk.bytes,
        round=current.number,
        header=header,
        manifest=bytes.fromhex(job.algorithm.manifest_hash),
        requirement=bytes.fromhex(terms["requirement_hash"]),
        checkpoint=checkpoint,
        rate=int(job.rate),
        expires=int(current.started_at.timestamp()) + lasts,
    )
    body, signature = task.sign(signing_key(job.collective))
    payload = cbor.encode({"manifest": canonical(job.algorithm.manifest), "weights": weights})
    return {
        "task_body": base64.b64encode(body).decode(),
        "task_sig": base64.b64encode(signature).decode(),
        "payload": base64.b64encode(payload).decode(),
        "cohort": plan.cohort,
        "minimum": terms["release_min"],
        "over_selection_ppm": plan.over_selection_ppm,
        "max_deliveries": current.reserved,
        "accept_seconds": plan.accept_seconds,
        "coin_ppm": plan.coin_ppm(job.enrolled),
    }
