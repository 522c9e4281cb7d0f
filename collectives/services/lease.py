"""One worker at a time per job: a lease with a fencing number. A step whose lease was taken over commits nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from collectives.models import Job
from collectives.services.due import due

SECONDS = 60


class LostLease(Exception):
    """Somebody else works on this job now, or moved it."""


def claim(job_id: uuid.UUID, now: datetime) -> int | None:
    """The fencing number of a fresh lease, or None while another holds it.

    A lease that reaches further than any can was given before the clock was set back; its holder is fenced off.
    """
    free = Q(lease_until__isnull=True) | due("lease_until", now, longest=timedelta(seconds=SECONDS))
    with transaction.atomic():
        taken = Job.objects.filter(free, pk=job_id).update(
            lease_until=now + timedelta(seconds=SECONDS), fence=F("fence") + 1, driven_at=now
        )
        return Job.objects.values_list("fence", flat=True).get(pk=job_id) if taken else None


def release(job_id: uuid.UUID, fence: int) -> None:
    Job.objects.filter(pk=job_id, fence=fence).update(lease_until=None)


@contextmanager
def holding(seen: Job, fence: int) -> Iterator[Job]:
    """A transaction with the job's row locked, for the holder of this lease only.

    `seen` is the job as it was when the step began: a status that somebody else moved since (a stop, for one) makes what
    the step found out worthless too.

    Raises:
        LostLease: the lease was taken over, or the status moved; nothing is written.
    """
    with transaction.atomic():
        rows = Job.objects.select_for_update(of=("self",)).select_related("algorithm", "collective")
        job = rows.get(pk=seen.pk)
        if job.fence != fence or job.status != seen.status:
            raise LostLease
        yield job
