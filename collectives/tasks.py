"""Background work of the collective domain. Tasks only wake; the database says what there is to do."""

from __future__ import annotations

import uuid
from datetime import timedelta

from celery import shared_task
from django.db.models import Q
from django.utils import timezone

from collectives import wakeups
from collectives.models import Job
from collectives.services import algorithms, audits, deliveries, looking, outgoing, rounds
from collectives.services.due import due

STEPS = 20
IDLE_SECONDS = 2
"""A job that nobody worked on for this long lost its wake-up."""
OPEN = (Job.Status.FUNDED, Job.Status.WAITING, Job.Status.NOTICE, Job.Status.SCHEDULED, Job.Status.RUNNING)


@shared_task(name="collectives.drive_job", ignore_result=True)
def drive_job(job_id: str, looking_again: bool = False) -> None:
    """Steps of one job while there is something to do, then come back soon or stop.

    Every wake-up begins a chain of looks. A look that finds that another chain looked a moment ago ends its own, so that a job
    is looked after once however often it was woken.
    """
    ident, now = uuid.UUID(job_id), timezone.now()
    found = looking.look(ident)
    if found is None or (looking_again and found.looked_lately(now)):
        return
    if not looking.nothing_new(found, now):
        for _ in range(STEPS):
            outcome = rounds.drive(ident, timezone.now())
            if outcome == rounds.DONE:
                return
            if outcome == rounds.WAIT:
                break
        found, now = looking.look(ident), timezone.now()
    if found is not None and found.status in (Job.Status.SCHEDULED, Job.Status.RUNNING):
        expires = now + timedelta(seconds=30)
        wakeups.send("collectives.drive_job", job_id, True, countdown=found.pause(now), expires=expires)


@shared_task(name="collectives.sweep", ignore_result=True)
def sweep() -> None:
    """Find jobs that nobody works on: expired leases, lost wake-ups, notice periods that ended; and calls that wait for the distributor."""
    now = timezone.now()
    if outgoing.something_is_due():
        wakeups.send("collectives.flush_outgoing", expires=now + timedelta(seconds=IDLE_SECONDS))
    algorithms.activate_due(now)
    audits.look_after(now)
    quiet = timedelta(seconds=IDLE_SECONDS)
    idle = Q(driven_at__isnull=True) | due("driven_at", now - quiet, longest=quiet)
    for job_id in Job.objects.filter(idle, status__in=OPEN).values_list("pk", flat=True):
        wakeups.send("collectives.drive_job", str(job_id))


@shared_task(name="collectives.flush_outgoing", ignore_result=True)
def flush_outgoing() -> None:
    """Deliver calls that wait for the distributor."""
    outgoing.flush()


@shared_task(name="collectives.count_deliveries", ignore_result=True)
def count_deliveries() -> None:
    """Ask the distributor how many wallets got the notices that run."""
    deliveries.count_due(timezone.now())


@shared_task(name="collectives.audit_waiting", ignore_result=True)
def audit_waiting() -> None:
    """Run the privacy audits that wait, one after the other."""
    while audits.run_next(timezone.now()):
        pass
