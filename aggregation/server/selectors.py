"""Reads for other services. Counts of a running round are not given out: they would say who is there."""

from __future__ import annotations

import base64
import threading
import time
import uuid
from typing import Any

from aggregation.secagg.messages import Header
from aggregation.server.errors import Conflict
from aggregation.server.models import Bucket, Participant, Round, SigningRequest
from aggregation.server.services.results import released_sum
from aggregation.server.services.transitions import find
from aggregation.server.states import OVER, PUBLIC_STATE, SIGNING, Step, phase_of

LONGEST_WAIT = 25
LOOK_SECONDS = 1.0
stopping = threading.Event()
"""Set while the process stops: long polls then end at once."""
changed = threading.Event()
"""Set by the hub at every wake-up: what a long poll waits for may be there. Lost wake-ups are caught by looking every second."""


def round_state(job_id: uuid.UUID, number: int) -> dict[str, Any]:
    row = find(job_id, number)
    step = Step(row.step)
    over = step in OVER
    return {
        "state": PUBLIC_STATE[step],
        "phase": phase_of(step),
        "deadline": row.deadline,
        "enough": _enough(row),
        "receipts": row.receipts if over else None,
        "joined": row.joined if over else None,
        "survivors": row.survivors if over else None,
        "buckets": [_bucket(bucket) for bucket in row.buckets.order_by("index")] if over else [],
        "middle": row.middle,
        "reason": _sentence(row),
        "code": row.reason,
    }


def _sentence(row: Round) -> str:
    """Why a round was abandoned, for people."""
    last = row.transitions.filter(after=Step.ABANDONED.value).order_by("-pk").first()
    return last.reason if last is not None else ""


def _enough(row: Round) -> bool:
    """Whether the wallets still in the round meet the release minimum."""
    minimum = Header.from_bytes(bytes(row.header)).release_min
    if Step(row.step) in OVER:
        return row.count >= minimum
    still = [Participant.State.EXPECTED, Participant.State.PRESENT]
    return row.participants.filter(state__in=still).count() >= minimum


def _bucket(bucket: Bucket) -> dict[str, Any]:
    return {
        "members": bucket.members,
        "survivors": len(bucket.survivors),
        "ok": bucket.state == Bucket.State.DONE,
        "stood_out": bucket.stood_out,
        "reason": bucket.reason,
    }


def round_sum(job_id: uuid.UUID, number: int) -> dict[str, Any]:
    """Raises:
    Conflict: there is no sum, or not any more.
    """
    row = find(job_id, number)
    stored = row.sum
    if stored is None:
        raise Conflict("The round has no sum to collect.", code="no_sum")
    ok = row.buckets.filter(state=Bucket.State.DONE).count()
    total = released_sum(bytes(stored), Header.from_bytes(bytes(row.header)).padded_d)
    return {"sum": base64.b64encode(total).decode(), "count": row.count, "buckets_ok": ok}


def signing_requests(wait: float) -> list[dict[str, Any]]:
    """What the distributor is to sign, waiting up to so many seconds for something to appear."""
    until = time.monotonic() + min(wait, LONGEST_WAIT)
    while True:
        changed.clear()  # before looking, so that a change while looking is not missed
        found = _unsigned()
        rest = until - time.monotonic()
        if found or rest <= 0 or stopping.is_set():
            return found
        changed.wait(min(rest, LOOK_SECONDS))


def _unsigned() -> list[dict[str, Any]]:
    rows = SigningRequest.objects.filter(
        signature__isnull=True, round__step__in=[step.value for step in SIGNING]
    ).select_related("round")
    return [
        {
            "id": str(row.pk),
            "kind": row.kind,
            "body": base64.b64encode(bytes(row.body)).decode(),
            "job": str(row.round.job_id),
            "round": row.round.number,
            "bucket": None,
        }
        for row in rows
    ]
