"""A look at a job whose round is with others: whether the distributor or the aggregator came further, and when to look again.

Most looks find nothing new. They read what they need of our rows, ask once and note when that was; the lease, and all that a step reads,
is taken only where there is a step to take.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from collectives import clients
from collectives.errors import ServiceRefused, ServiceUnavailable
from collectives.models import Job, JobTransition, Round

S, R = Job.Status, Round.Status
SHORTEST, LONGEST = 0.25, 1.0
"""Seconds between two looks."""
PART = 0.1
"""Of the time that something takes already, the part that waiting for it may add."""
LAST_PHASE = "unmask"
"""The round's phase whose end the next round waits for."""
OVER = ("released", "posted", "abandoned")


@dataclass(frozen=True, kw_only=True)
class Look:
    """A job and its newest round as our rows say. `round_status` is empty before the first round; `since`: how long it stands so."""

    job_id: uuid.UUID
    status: str
    driven_at: datetime | None
    since: datetime | None
    number: int = 0
    round_status: str = ""
    phase: str = ""
    enough: bool = False
    abort_reason: str = ""

    def pause(self, now: datetime) -> float:
        """Seconds until the next look.

        A tenth of what has passed already: a short round is not made longer by waiting for it, and a long one is not looked at hundreds of
        times. In its last phase often again, because the next round begins where it ends.
        """
        if self.since is None or self.phase == LAST_PHASE:
            return SHORTEST
        return min(LONGEST, max(SHORTEST, (now - self.since).total_seconds() * PART))

    def looked_lately(self, now: datetime) -> bool:
        """Whether another chain of looks is at work on this job."""
        lately = now - timedelta(seconds=self.pause(now) / 2)
        return self.driven_at is not None and self.driven_at > lately


def look(job_id: uuid.UUID) -> Look | None:
    """None: there is no such job."""
    job = Job.objects.filter(pk=job_id).values("status", "driven_at").first()
    if job is None:
        return None
    # The newest by number: an open round is always the last one, and a long job has thousands that are closed.
    rows = Round.objects.filter(job_id=job_id).order_by("-number")
    newest = rows.values("number", "status", "phase", "enough", "abort_reason", "started_at").first()
    if job["status"] != S.RUNNING or newest is None:
        moved = JobTransition.objects.filter(job_id=job_id).order_by("-id").values_list("at", flat=True)
        return Look(job_id=job_id, since=moved.first(), **job)
    since, status = newest.pop("started_at"), newest.pop("status")
    return Look(job_id=job_id, since=since, round_status=status, **job, **newest)


def nothing_new(found: Look, now: datetime) -> bool:
    """Whether the open round is with the wallets still, just as our rows say; then that somebody looked is noted.

    Who does not answer now has nothing new either. Anything else is left to a step, which asks again.
    """
    if found.status != S.RUNNING or found.abort_reason or not _as_known(found):
        return False
    Job.objects.filter(pk=found.job_id).update(driven_at=now)
    return True


def _as_known(found: Look) -> bool:
    path = f"/jobs/{found.job_id}/rounds/{found.number}"
    try:
        if found.round_status == R.INVITING:
            return bool(clients.distributor().call("GET", path)["state"] == "inviting")
        if found.round_status == R.AGGREGATING:
            told = clients.aggregator().call("GET", path)
            known = (found.phase, found.enough)
            return told["state"] not in OVER and (told.get("phase") or "", bool(told.get("enough"))) == known
    except ServiceUnavailable:
        return True
    except ServiceRefused:
        return False
    return False
