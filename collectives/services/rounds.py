"""Driving a job: one idempotent step at a time, under a lease; the database says what comes next.

Each step asks the distributor and the aggregator (calls that may be repeated), then commits what it learned. A kill between the
two repeats the call and nothing else. `drive` is called by a task, and by a sweep for what tasks lost.

    funded → waiting / notice → scheduled (enrol) → running: [open → invite → aggregate → collect] per round → ended
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.conf import settings
from django.utils import timezone

from aggregation.wire import cbor
from collectives import clients
from collectives.errors import ServiceRefused, ServiceUnavailable
from collectives.models import Admission, Checkpoint, Job, Round
from collectives.models.jobs import ENDED
from collectives.services import jobs
from collectives.services.keys import signing_key
from collectives.services.lease import LostLease, claim, holding, release
from collectives.services.plan import JobPlan
from collectives.terms.algorithm import Manifest, parameter_count, parse_manifest
from collectives.terms.canonical import canonical
from collectives.terms.envelope import SignedDocument
from collectives.terms.permit import JobAnnouncement, Task
from collectives.training.checkpoint import checkpoint_hash, weights_to_bytes
from collectives.training.update import ServerState, step

S, R = Job.Status, Round.Status
AGAIN, WAIT, DONE = "again", "wait", "done"
"""What `drive` says: there is more to do now; ask again shortly; nothing more."""
MOST_FAILURES = 3
JOB_DAYS = 30


def drive(job_id: uuid.UUID, now: datetime) -> str:
    """One step of a job; AGAIN, WAIT or DONE."""
    fence = claim(job_id, now)
    if fence is None:
        return WAIT
    try:
        job = Job.objects.select_related("algorithm", "collective").get(pk=job_id)
        handler = _BY_STATUS.get(job.status)
        return handler(job, fence) if handler else DONE
    except (ServiceUnavailable, LostLease):
        return WAIT
    finally:
        release(job_id, fence)


# --- before the first round --------------------------------------------------------------------------------------


def _prepare(job: Job, fence: int) -> str:
    """Funded or waiting: are there enough subscribers, and is the notice period over?"""
    terms = _terms(job)
    subscribers = job.collective.subscriptions.filter(status="active", expires_at__gt=timezone.now()).count()
    factor = 1 if terms["development"] else settings.SUBSCRIBERS_PER_COHORT
    needed = factor * max(terms["release_min"], 1)
    admission = job.collective.admissions.filter(algorithm=job.algorithm).exclude(status="withdrawn").first()
    with holding(job.pk, fence) as held:
        if job.collective.status != "active":
            jobs.move(held, S.SUSPENDED, job.collective.status_reason or "the collective is suspended")
            return DONE
        if admission is None:
            jobs.end(held, S.FAILED, "The algorithm was withdrawn before the job began. Nothing was charged.")
            return DONE
        if subscribers < needed:
            return _settle_into(
                held, S.WAITING, f"{needed} subscribers are needed; the job begins when they are there."
            )
        if admission.status != Admission.Status.ACTIVE:
            return _settle_into(
                held, S.NOTICE, f"The algorithm may run from {admission.effective_at:%d %B %Y %H:%M} UTC on."
            )
        jobs.move(held, S.SCHEDULED, "enough subscribers, notice period over")
    return AGAIN


def _settle_into(job: Job, status: str, reason: str) -> str:
    if job.status != status:
        jobs.move(job, status, reason)
    return WAIT


def _enrol(job: Job, fence: int) -> str:
    """Ask the subscribers to enrol, and begin when the log is frozen."""
    service, plan = clients.distributor(), JobPlan.from_json(job.plan)
    found = service.call("PUT", f"/jobs/{job.pk}", {"collective_id": str(job.collective_id)})
    known = service.call("GET", f"/jobs/{job.pk}")
    if known["state"] == "created":
        envelope = _announcement(job, plan, found)
        body = {"envelope": envelope, "enrol_seconds": plan.enrol_seconds}
        service.call("PUT", f"/jobs/{job.pk}/announcement", body)
        return WAIT
    if known["state"] != "frozen":
        return WAIT
    terms = _terms(job)
    with holding(job.pk, fence) as held:
        held.enrolled, held.log_root = known["enrolled"], known["log_root"]
        held.save(update_fields=["enrolled", "log_root"])
        if known["enrolled"] < terms["release_min"]:
            jobs.end(
                held,
                S.FAILED,
                f"{known['enrolled']} wallets enrolled, {terms['release_min']} are needed. Nobody was asked to compute and "
                "nothing was charged.",
            )
            return DONE
        jobs.move(held, S.RUNNING, f"{known['enrolled']} wallets enrolled")
    return AGAIN


def _announcement(job: Job, plan: JobPlan, found: dict[str, Any]) -> dict[str, Any]:
    terms, now = _terms(job), int(time.time())
    document = JobAnnouncement(
        collective_id=str(job.collective_id),
        job_id=str(job.pk),
        manifest=job.algorithm.manifest,
        manifest_hash=job.algorithm.manifest_hash,
        rate=int(job.rate),
        token=terms["token"],
        max_rounds=job.max_rounds,
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


# --- rounds ------------------------------------------------------------------------------------------------------


def _run(job: Job, fence: int) -> str:
    """Running: settle the last round's sum with the aggregator, then go on with the open round or begin one."""
    unsaid = job.rounds.filter(status=R.POSTED, acknowledged=False).first()
    if unsaid is not None:
        return _acknowledge(job, fence, unsaid)
    current = job.rounds.exclude(status__in=(R.POSTED, R.ABANDONED)).first()
    return _BY_ROUND[current.status](job, fence, current) if current else _begin(job, fence)


def _begin(job: Job, fence: int) -> str:
    """Reserve the worst case of one more round, or end the job."""
    terms, plan = _terms(job), JobPlan.from_json(job.plan)
    with holding(job.pk, fence) as held:
        done = held.rounds.count()
        left = held.visits_budget - held.visits_earned - held.visits_reserved
        if held.stop_requested:
            jobs.end(held, S.STOPPED, "stopped by the consumer")
        elif job.collective.status != "active":
            jobs.move(held, S.SUSPENDED, job.collective.status_reason or "the collective is suspended")
        elif held.pause_requested:
            jobs.move(held, S.PAUSED, "paused after the last round")
        elif held.rounds.filter(status=R.POSTED).count() >= held.max_rounds:
            jobs.end(held, S.COMPLETED, f"all {held.max_rounds} rounds are done")
        elif left < terms["release_min"]:
            jobs.end(
                held,
                S.BUDGET_EXHAUSTED,
                f"the rest pays {left} visits, fewer than the minimum of {terms['release_min']}",
            )
        elif held.failures >= MOST_FAILURES:
            last = held.rounds.last()
            jobs.end(held, S.FAILED, last.reason if last else "rounds could not be completed")
        else:
            reserved = min(left, plan.invited())
            Round.objects.create(job=held, number=done + 1, reserved=reserved)
            held.visits_reserved += reserved
            held.save(update_fields=["visits_reserved"])
            held_id = held.pk
            jobs.transaction.on_commit(lambda: jobs.announce_change(held_id))
            return AGAIN
    return DONE


def _open(job: Job, fence: int, current: Round) -> str:
    """Header at the aggregator, one signed task for everybody, hand-over to the distributor."""
    terms, plan, manifest = _terms(job), JobPlan.from_json(job.plan), parse_manifest(job.algorithm.manifest)
    latest = job.checkpoints.last()
    assert latest is not None
    weights = bytes(latest.weights)
    digest = checkpoint_hash(bytes.fromhex(manifest.hash), current.number - 1, weights)
    path = f"/jobs/{job.pk}/rounds/{current.number}"
    try:
        opened = clients.aggregator().call("PUT", path, _round_parameters(job, terms, plan, manifest, digest))
        clients.distributor().call("PUT", path, _dispatch(job, current, terms, plan, opened, digest, weights))
    except ServiceRefused as error:
        return _abandon(
            job,
            fence,
            current,
            f"The round could not be opened ({error.code}). Nothing was charged.",
            receipts=0,
        )
    with holding(job.pk, fence):
        Round.objects.filter(pk=current.pk).update(status=R.INVITING, header_hash=opened["header_hash"])
    jobs.announce_change(job.pk)
    return WAIT


def _round_parameters(
    job: Job, terms: dict[str, Any], plan: JobPlan, manifest: Manifest, digest: bytes
) -> dict[str, Any]:
    clip = manifest.output.clip_micro
    return {
        "manifest_hash": manifest.hash,
        "checkpoint_hash": digest.hex(),
        "requirement_hash": terms["requirement_hash"],
        "d": parameter_count(manifest),
        "clip_micro": clip,
        "noise_micro": plan.noise_micro(clip, terms["bucket_min"]),
        "q": plan.value_bits,
        "f": plan.fraction_bits,
        "bucket_size": plan.bucket_size,
        "bucket_min": terms["bucket_min"],
        "release_min": terms["release_min"],
        "cohort": plan.cohort,
        "development": terms["development"],
        "phase_seconds": dict(plan.phase_seconds),
    }


def _dispatch(
    job: Job,
    current: Round,
    terms: dict[str, Any],
    plan: JobPlan,
    opened: dict[str, Any],
    digest: bytes,
    weights: bytes,
) -> dict[str, Any]:
    # The task must be the same bytes when this step is repeated, so its end is counted from the round's beginning.
    task = Task(
        collective=job.collective_id.bytes,
        job=job.pk.bytes,
        round=current.number,
        header=base64.b64decode(opened["header"]),
        manifest=bytes.fromhex(job.algorithm.manifest_hash),
        requirement=bytes.fromhex(terms["requirement_hash"]),
        checkpoint=digest,
        rate=int(job.rate),
        expires=int(current.started_at.timestamp())
        + plan.accept_seconds
        + sum(plan.phase_seconds.values())
        + 60,
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
    }


def _invite(job: Job, fence: int, current: Round) -> str:
    found = clients.distributor().call("GET", f"/jobs/{job.pk}/rounds/{current.number}")
    counts = {name: found.get(name) or 0 for name in ("invited", "accepted", "delivered")}
    if found["state"] == "short":
        _save(current, counts)
        needed = _terms(job)["release_min"]
        return _abandon(
            job,
            fence,
            current,
            f"Round {current.number} stopped: {counts['accepted']} wallets answered, {needed} are needed. Nobody's data was "
            "revealed and nothing was charged.",
            receipts=0,
        )
    if found["state"] == "inviting":
        return WAIT
    with holding(job.pk, fence):
        _save(current, counts | {"status": R.AGGREGATING})
    jobs.announce_change(job.pk)
    return WAIT


def _aggregate(job: Job, fence: int, current: Round) -> str:
    try:
        found = clients.aggregator().call("GET", f"/jobs/{job.pk}/rounds/{current.number}")
    except ServiceRefused as error:
        return _abandon(
            job, fence, current, f"The aggregator no longer knows this round ({error.code}).", receipts=0
        )
    state = found["state"]
    if state == "abandoned":
        reason = (
            f"Round {current.number} stopped: {found.get('reason') or 'too few wallets finished'} Nobody's data was revealed. "
            "Visits already proven are paid; nothing else was charged."
        )
        _save(current, _closing_counts(found))
        return _abandon(job, fence, current, reason, receipts=found["receipts"])
    changed = {
        "phase": found.get("phase") or "",
        "enough": bool(found.get("enough")),
        "deadline": datetime.fromtimestamp(found["deadline"], UTC) if found.get("deadline") else None,
    }
    if state in ("released", "posted"):
        with holding(job.pk, fence):
            _save(current, changed | _closing_counts(found) | {"status": R.COLLECTING})
        return AGAIN
    if changed["phase"] != current.phase or changed["enough"] != current.enough:
        _save(current, changed)
        jobs.announce_change(job.pk)
    return WAIT


def _closing_counts(found: dict[str, Any]) -> dict[str, int]:
    good = sum(1 for bucket in found.get("buckets") or () if bucket.get("ok"))
    return {
        "receipts": found.get("receipts") or 0,
        "joined": found.get("joined") or 0,
        "survivors": found.get("survivors") or 0,
        "buckets": good,
    }


def _collect(job: Job, fence: int, current: Round) -> str:
    """The sum becomes a step, the step a checkpoint; in one transaction with the round's end."""
    found = clients.aggregator().call("GET", f"/jobs/{job.pk}/rounds/{current.number}/sum")
    plan, manifest = JobPlan.from_json(job.plan), parse_manifest(job.algorithm.manifest)
    total = np.frombuffer(base64.b64decode(found["sum"]), dtype="<i8")
    mean = total.astype(np.float64) / (float(1 << plan.fraction_bits) * found["count"])
    with holding(job.pk, fence) as held:
        latest = held.checkpoints.last()
        assert latest is not None
        state = step(
            ServerState.from_bytes(bytes(latest.weights), bytes(latest.moments)),
            mean,
            optimiser=plan.optimiser,
            learning_rate_micro=plan.learning_rate_micro,
            decay_rounds=held.max_rounds if plan.decay else 0,
        )
        weights = weights_to_bytes(state.weights)
        Checkpoint.objects.create(
            job=held,
            number=current.number,
            weights=weights,
            moments=state.moments_to_bytes(),
            hash=checkpoint_hash(bytes.fromhex(manifest.hash), current.number, weights).hex(),
            aggregate_hash=hashlib.sha256(mean.astype("<f8").tobytes()).hexdigest(),
            wallets=found["count"],
        )
        _close(held, current, R.POSTED, "", current.receipts)
        held.failures = 0
        held.save(update_fields=["failures"])
    return AGAIN


def _acknowledge(job: Job, fence: int, posted: Round) -> str:
    digest = job.checkpoints.get(number=posted.number).hash
    try:
        clients.aggregator().call(
            "POST", f"/jobs/{job.pk}/rounds/{posted.number}/collected", {"checkpoint_hash": digest}
        )
    except ServiceRefused as error:
        if error.status != 404:
            raise ServiceUnavailable(error.code) from error
    with holding(job.pk, fence):
        Round.objects.filter(pk=posted.pk).update(acknowledged=True)
    return AGAIN


def _abandon(job: Job, fence: int, current: Round, reason: str, *, receipts: int) -> str:
    with contextlib.suppress(ServiceRefused):  # it never opened there, or is over already
        clients.aggregator().call("DELETE", f"/jobs/{job.pk}/rounds/{current.number}")
    with holding(job.pk, fence) as held:
        _close(held, current, R.ABANDONED, reason, receipts)
        held.failures += 1
        held.save(update_fields=["failures"])
    return AGAIN


def _close(job: Job, current: Round, status: str, reason: str, receipts: int) -> None:
    """Give back what the round did not use; what was proven is earned."""
    job.visits_reserved -= current.reserved
    job.visits_earned += receipts
    job.save(update_fields=["visits_reserved", "visits_earned"])
    _save(
        current, {"status": status, "reason": reason[:500], "receipts": receipts, "ended_at": timezone.now()}
    )
    job_id = job.pk
    jobs.transaction.on_commit(lambda: jobs.announce_change(job_id))


def _save(current: Round, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(current, name, value)
    current.save(update_fields=list(values))


def _terms(job: Job) -> dict[str, Any]:
    """The current terms. The rate is the job's own; minima are those every permit has at least agreed to."""
    terms = job.collective.terms.first()
    assert terms is not None
    return dict(terms.document)


_BY_ROUND: dict[str, Callable[[Job, int, Round], str]] = {
    R.OPENING: _open,
    R.INVITING: _invite,
    R.AGGREGATING: _aggregate,
    R.COLLECTING: _collect,
}
_BY_STATUS: dict[str, Callable[[Job, int], str]] = {
    S.FUNDED: _prepare,
    S.WAITING: _prepare,
    S.NOTICE: _prepare,
    S.SCHEDULED: _enrol,
    S.RUNNING: _run,
}
assert not set(_BY_STATUS) & ENDED
