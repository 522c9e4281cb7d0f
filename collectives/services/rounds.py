"""Driving a job: one idempotent step at a time, under a lease; the database says what comes next.

Each step asks the distributor and the aggregator (calls that may be repeated), then commits what it learned. A kill between the
two repeats the call and nothing else. `drive` is called by a task, and by a sweep for what tasks lost.

    funded → waiting / notice → scheduled (enrol) → running: [open → invite → aggregate → collect] per round → ended
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import structlog
from django.db import transaction
from django.utils import timezone

from aggregation.privacy import pipeline
from aggregation.privacy.rotation import seed_of
from collectives import clients
from collectives.errors import CollectiveError, ServiceRefused, ServiceUnavailable
from collectives.models import Checkpoint, Job, Round
from collectives.models.jobs import ENDED
from collectives.services import jobs, opening
from collectives.services.lease import LostLease, claim, holding, release
from collectives.services.opening import terms_of
from collectives.services.plan import JobPlan
from collectives.services.privacy import answer_length, exhausted, mechanism_of, next_clip, sent_length
from collectives.services.starting import AGAIN, DONE, WAIT, admission_of, enrol, prepare, suspend
from collectives.terms.algorithm import Manifest, parse_manifest
from collectives.training.checkpoint import checkpoint_hash, weights_to_bytes
from collectives.training.outcome import advance
from collectives.training.update import ServerState

log = structlog.get_logger(__name__)
S, R = Job.Status, Round.Status
CLOSED = (R.POSTED, R.ABANDONED)
MOST_FAILURES = 3
REST_SECONDS = (2, 10)
"""Pause after the first and the second abandoned round in a row."""
STALE_SECONDS = 60
"""A round that could not be handed over for so long is begun anew: its task would end too early."""


def drive(job_id: uuid.UUID, now: datetime) -> str:
    """One step of a job; AGAIN, WAIT or DONE."""
    fence = claim(job_id, now)
    if fence is None:
        return WAIT
    try:
        return _attempt(job_id, fence)
    except (ServiceUnavailable, LostLease):
        return WAIT
    finally:
        release(job_id, fence)


def _attempt(job_id: uuid.UUID, fence: int) -> str:
    job = Job.objects.select_related("algorithm", "collective").get(pk=job_id)
    handler = _BY_STATUS.get(job.status)
    if handler is None:
        return DONE
    try:
        return handler(job, fence)
    except ServiceRefused as error:
        return _refused(job, fence, error)


def abort(*, actor: Any, job_id: uuid.UUID, reason: str) -> None:
    """An administrator ends the running round; visits already proven stay owed, and the job goes on with another round.

    Raises:
        CollectiveError: not an administrator, no reason, or no round is running.
    """
    if not actor.is_staff:
        raise CollectiveError("not_allowed", "Only an administrator may do this.", status=403)
    if not reason.strip():
        raise CollectiveError("reason_missing", "Say why: the reason is shown to who ordered the job.")
    running = Round.objects.filter(job_id=job_id, job__status=S.RUNNING).exclude(status__in=CLOSED)
    if not running.update(abort_reason=reason.strip()[:300]):
        raise CollectiveError("no_round", "No round of this job is running.", status=409)
    jobs.wake(job_id)


def _refused(job: Job, fence: int, error: ServiceRefused) -> str:
    """A service said no for good. The round ends, or before the first one the job."""
    log.warning("refused", job=str(job.pk), code=error.code, detail=str(error))
    current = job.rounds.exclude(status__in=CLOSED).first()
    if current is not None:
        return _abandon(job, fence, current, f"Round {current.number} was refused ({error.code}): {error}")
    with holding(job, fence) as held:
        jobs.end(held, S.FAILED, f"The job was refused ({error.code}): {error} Nothing was charged.")
    return DONE


def _run(job: Job, fence: int) -> str:
    """Running: settle the last round's sum with the aggregator, then go on with the open round or begin one."""
    unsaid = job.rounds.filter(status=R.POSTED, acknowledged=False).first()
    if unsaid is not None:
        return _acknowledge(job, fence, unsaid)
    current = job.rounds.exclude(status__in=CLOSED).first()
    if current is None:
        return _begin(job, fence)
    if current.abort_reason:
        reason = f"Round {current.number} was ended by the administrator: {current.abort_reason}"
        return _abandon(job, fence, current, reason, failed=False)
    return _BY_ROUND[current.status](job, fence, current)


def _begin(job: Job, fence: int) -> str:
    """Reserve the worst case of one more round, or end the job."""
    plan = JobPlan.from_json(job.plan)
    with holding(job, fence) as held:
        if held.collective.status != "active":
            return suspend(held)
        ending = _ending(held)
        if ending is not None:
            jobs.end(held, *ending)
            return DONE
        if held.pause_requested:
            jobs.move(held, S.PAUSED, "paused after the last round")
            return DONE
        last = held.rounds.last()
        if held.failures and last is not None and last.ended_at is not None:
            rest = REST_SECONDS[min(held.failures, len(REST_SECONDS)) - 1]
            # A negative time says that the clock was set back meanwhile; then the rest is over.
            if timedelta(0) <= timezone.now() - last.ended_at < timedelta(seconds=rest):
                return WAIT
        reserved = min(_left(held), plan.invited())
        Round.objects.create(job=held, number=last.number + 1 if last else 1, reserved=reserved)
        held.visits_reserved += reserved
        held.save(update_fields=["visits_reserved"])
        _tell(held)
    return AGAIN


def _left(held: Job) -> int:
    return held.visits_budget - held.visits_earned - held.visits_reserved


def _ending(held: Job) -> tuple[str, str] | None:
    """(final status, why) when no further round may begin."""
    plan = JobPlan.from_json(held.plan)
    left, least = _left(held), plan.invited() if plan.poisson else terms_of(held)["release_min"]
    if held.stop_requested:
        return S.STOPPED, held.stop_reason or "stopped by the consumer"
    if admission_of(held) is None:
        return S.STOPPED, "The collective withdrew the algorithm."
    if held.rounds.filter(status=R.POSTED).count() >= held.max_rounds:
        return S.COMPLETED, f"all {held.max_rounds} rounds are done"
    if left < least:
        return S.BUDGET_EXHAUSTED, f"the rest pays {left} visits, fewer than the minimum of {least}"
    if exhausted(held, terms_of(held)):
        return S.PRIVACY_EXHAUSTED, "the privacy budgets of its wallets are used up"
    last = held.rounds.last()
    if held.failures >= MOST_FAILURES or (last is not None and last.number >= opening.last_number(held)):
        return S.FAILED, last.reason if last else "rounds could not be completed"
    return None


def _open(job: Job, fence: int, current: Round) -> str:
    """Header at the aggregator, one signed task for everybody, hand-over to the distributor."""
    manifest, latest = parse_manifest(job.algorithm.manifest), job.checkpoints.last()
    assert latest is not None
    path = f"/jobs/{job.pk}/rounds/{current.number}"
    age = (timezone.now() - current.started_at).total_seconds()
    if age > STALE_SECONDS and not _handed_over(path):
        reason = f"Round {current.number} could not begin in time and is begun anew. Nothing was charged."
        return _abandon(job, fence, current, reason, failed=False)
    weights = bytes(latest.weights)
    digest = checkpoint_hash(bytes.fromhex(manifest.hash), current.number - 1, weights)
    opened = clients.aggregator().call("PUT", path, opening.parameters(job, manifest, digest))
    order = opening.dispatch(
        job, current, header=base64.b64decode(opened["header"]), checkpoint=digest, weights=weights
    )
    clients.distributor().call("PUT", path, order)
    with holding(job, fence):
        _save(current, {"status": R.INVITING, "header_hash": opened["header_hash"]})
        _tell(job)
    return WAIT


def _handed_over(path: str) -> bool:
    """Whether the distributor knows the round."""
    try:
        clients.distributor().call("GET", path)
    except ServiceRefused as error:
        if error.status == 404:
            return False
        raise
    return True


def _invite(job: Job, fence: int, current: Round) -> str:
    found = clients.distributor().call("GET", f"/jobs/{job.pk}/rounds/{current.number}")
    if found["state"] == "inviting":
        return WAIT
    counts = {name: found.get(name) or 0 for name in ("invited", "accepted", "delivered")}
    if found["state"] == "short":
        needed = terms_of(job)["release_min"]
        which = f"{needed} are needed" if counts["accepted"] < needed else f"{current.reserved} are paid for"
        reason = (
            f"Round {current.number} stopped: {counts['accepted']} wallets answered, {which}. Nobody's data was "
            "revealed and nothing was charged."
        )
        return _abandon(job, fence, current, reason, counts=counts)
    with holding(job, fence):
        _save(current, counts | {"status": R.AGGREGATING})
        _tell(job)
    return WAIT


def _aggregate(job: Job, fence: int, current: Round) -> str:
    found = clients.aggregator().call("GET", f"/jobs/{job.pk}/rounds/{current.number}")
    if found["state"] == "abandoned":
        reason = (
            f"Round {current.number} stopped: {found.get('reason') or 'too few wallets finished'} Nobody's data was revealed. "
            "Visits already proven are paid; nothing else was charged."
        )
        return _abandon(job, fence, current, reason)
    changed: dict[str, Any] = {
        "phase": found.get("phase") or "",
        "enough": bool(found.get("enough")),
        "deadline": datetime.fromtimestamp(found["deadline"], UTC) if found.get("deadline") else None,
    }
    over = found["state"] in ("released", "posted")
    if over:
        changed |= _closing_counts(found) | {"status": R.COLLECTING}
    if over or changed["phase"] != current.phase or changed["enough"] != current.enough:
        with holding(job, fence):
            _save(current, changed)
            _tell(job)
    return AGAIN if over else WAIT


def _closing_counts(found: dict[str, Any]) -> dict[str, int]:
    good = sum(1 for bucket in found.get("buckets") or () if bucket.get("ok"))
    return {
        "receipts": found.get("receipts") or 0,
        "joined": found.get("joined") or 0,
        "survivors": found.get("survivors") or 0,
        "buckets": good,
        "stood_out": sum(1 for bucket in found.get("buckets") or () if bucket.get("stood_out")),
    }


def _collect(job: Job, fence: int, current: Round) -> str:
    """The sum becomes a step, the step a checkpoint; in one transaction with the round's end."""
    found = clients.aggregator().call("GET", f"/jobs/{job.pk}/rounds/{current.number}/sum")
    plan, manifest = JobPlan.from_json(job.plan), parse_manifest(job.algorithm.manifest)
    total = np.frombuffer(base64.b64decode(found["sum"]), dtype="<i8")
    if total.size != sent_length(manifest, plan) or found["count"] < terms_of(job)["release_min"]:
        reason = f"Round {current.number} stopped: its sum does not fit the model or the minimum, and was not used."
        return _abandon(job, fence, current, reason)
    mean = pipeline.recover(
        total,
        count=found["count"],
        fraction_bits=plan.fraction_bits,
        d=answer_length(manifest, plan),
        rotation_seed=_rotation_seed(job, current) if plan.rotated else b"",
    )
    aggregate = hashlib.sha256(mean.astype("<f8").tobytes()).hexdigest()
    with holding(job, fence) as held:
        latest = held.checkpoints.last()
        assert latest is not None
        noise = _noise_of_mean(held, manifest, found["count"])
        clip = 0
        if plan.clip_quantile_ppm:
            mean, clip = next_clip(held, manifest, mean)
        state = advance(
            manifest,
            ServerState.from_bytes(bytes(latest.weights), bytes(latest.moments)),
            mean,
            wallets=found["count"],
            noise=noise,
            optimiser=plan.optimiser,
            learning_rate_micro=plan.learning_rate_micro,
            decay_rounds=held.max_rounds if plan.decay else 0,
            full_rounds=plan.full_rounds(held.max_rounds),
        )
        weights = weights_to_bytes(state.weights)
        Checkpoint.objects.create(
            job=held,
            number=current.number,
            weights=weights,
            moments=state.moments_to_bytes(),
            hash=checkpoint_hash(bytes.fromhex(manifest.hash), current.number, weights).hex(),
            aggregate_hash=aggregate,
            clip_micro=clip,
            wallets=found["count"],
        )
        held.failures = 0
        _close(held, current, R.POSTED, receipts=current.receipts)
    return AGAIN


def _rotation_seed(job: Job, current: Round) -> bytes:
    """As the round's header has it."""
    latest = job.checkpoints.last()
    assert latest is not None
    return seed_of(job=job.pk.bytes, number=current.number, checkpoint=bytes.fromhex(latest.hash))


def _noise_of_mean(job: Job, manifest: Manifest, wallets: int) -> float:
    """σ of the noise in a coordinate of the mean: each wallet added its share."""
    share = mechanism_of(job, manifest, terms_of(job)).share_micro
    return float(share / 1e6 / wallets**0.5)


def _acknowledge(job: Job, fence: int, posted: Round) -> str:
    body = {"checkpoint_hash": job.checkpoints.get(number=posted.number).hash}
    # A refusal means that there is no sum of ours to erase: it is gone already.
    with contextlib.suppress(ServiceRefused):
        clients.aggregator().call("POST", f"/jobs/{job.pk}/rounds/{posted.number}/collected", body)
    with holding(job, fence):
        _save(posted, {"acknowledged": True})
    return AGAIN


def _abandon(
    job: Job,
    fence: int,
    current: Round,
    reason: str,
    *,
    counts: dict[str, int] | None = None,
    failed: bool = True,
) -> str:
    """End the round at the aggregator, and take from its ledger what is owed. A sum that came out meanwhile is collected."""
    path = f"/jobs/{job.pk}/rounds/{current.number}"
    found: dict[str, Any] = {}
    with contextlib.suppress(ServiceRefused):  # it never opened there, or is over already
        clients.aggregator().call("DELETE", path)
    with contextlib.suppress(ServiceRefused):
        found = clients.aggregator().call("GET", path)
    if found and found["state"] not in ("released", "posted", "abandoned"):
        raise ServiceUnavailable(f"{path}: not ended yet")
    if found.get("state") == "released" and current.status != R.COLLECTING:
        with holding(job, fence):
            _save(current, _closing_counts(found) | {"status": R.COLLECTING})
        return AGAIN
    with holding(job, fence) as held:
        _save(current, _closing_counts(found) | (counts or {}))
        held.failures += failed
        _close(held, current, R.ABANDONED, receipts=current.receipts, reason=reason)
    return AGAIN


def _close(held: Job, current: Round, status: str, *, receipts: int, reason: str = "") -> None:
    """Give back what the round did not use; what was proven is earned, never more than was promised."""
    if receipts > current.reserved:
        log.error("receipts_above_reserved", job=str(held.pk), receipts=receipts, reserved=current.reserved)
        receipts = current.reserved
    held.visits_reserved -= current.reserved
    held.visits_earned += receipts
    held.save(update_fields=["visits_reserved", "visits_earned", "failures"])
    _save(
        current, {"status": status, "reason": reason[:500], "receipts": receipts, "ended_at": timezone.now()}
    )
    _tell(held)


def _tell(job: Job) -> None:
    """Open pages hear of it once it is committed."""
    job_id = job.pk
    transaction.on_commit(lambda: jobs.announce_change(job_id))


def _save(current: Round, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(current, name, value)
    current.save(update_fields=list(values))


_BY_ROUND: dict[str, Callable[[Job, int, Round], str]] = {
    R.OPENING: _open,
    R.INVITING: _invite,
    R.AGGREGATING: _aggregate,
    R.COLLECTING: _collect,
}
_BY_STATUS: dict[str, Callable[[Job, int], str]] = {
    S.FUNDED: prepare,
    S.WAITING: prepare,
    S.NOTICE: prepare,
    S.SCHEDULED: enrol,
    S.RUNNING: _run,
}
assert not set(_BY_STATUS) & ENDED
