"""Jobs, their rounds and checkpoints."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.db.models import Count, Max, Q, QuerySet

from collectives.models import Checkpoint, Job, Round
from collectives.services.plan import JobPlan

CLOSED = (Round.Status.POSTED, Round.Status.ABANDONED)


def job(job_id: uuid.UUID) -> Job | None:
    return Job.objects.select_related("algorithm", "collective").filter(pk=job_id).first()


def jobs_of(collective_id: uuid.UUID) -> QuerySet[Job]:
    done = Count("rounds", filter=Q(rounds__status=Round.Status.POSTED))
    return Job.objects.filter(collective_id=collective_id).select_related("algorithm").annotate(done=done)


def orders_waiting(collective_id: uuid.UUID) -> QuerySet[Job]:
    """Orders that wait for the owner's decision, the oldest first."""
    waiting = Job.objects.filter(collective_id=collective_id, status=Job.Status.APPROVAL)
    return waiting.select_related("algorithm").order_by("created_at")


def orders_decided(collective_id: uuid.UUID, limit: int = 30) -> QuerySet[Job]:
    """Orders the owner was asked about and that wait no more, the newest first."""
    asked = Job.objects.filter(collective_id=collective_id, transitions__before=Job.Status.APPROVAL)
    return asked.select_related("algorithm").order_by("-created_at")[:limit]


def jobs_by_id(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Job]:
    """Jobs with their algorithm and the number of rounds in the model."""
    done = Count("rounds", filter=Q(rounds__status=Round.Status.POSTED))
    found = Job.objects.filter(pk__in=set(ids)).select_related("algorithm").annotate(done=done)
    return {job.pk: job for job in found}


def newest_numbers(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Number of the newest checkpoint of each of these jobs."""
    found = Checkpoint.objects.filter(job_id__in=set(ids)).order_by().values_list("job_id")
    return dict(found.annotate(newest=Max("number")))


def open_rounds(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Round]:
    """The running round of each of these jobs that has one; a job has at most one."""
    found = Round.objects.filter(job_id__in=set(ids)).exclude(status__in=CLOSED)
    return {row.job_id: row for row in found}


def job_live(job_id: uuid.UUID) -> dict[str, Any] | None:
    """What the live page may show: exact counts of closed rounds, only enough / not yet of the open one."""
    found = job(job_id)
    if found is None:
        return None
    rounds = list(found.rounds.all())
    closed = [r for r in rounds if r.status in ("posted", "abandoned")]
    current = next((r for r in rounds if r not in closed), None)
    plan = JobPlan.from_json(found.plan)
    return {
        "job": found,
        "plan": plan,
        "current": current,
        "rounds": closed,
        "rounds_done": sum(r.status == "posted" for r in closed),
        "visits_budget": found.visits_budget,
        "visits_earned": found.visits_earned,
        "visits_reserved": found.visits_reserved,
        "transitions": list(found.transitions.order_by("-id")[:30]),
    }


def checkpoints(job_id: uuid.UUID) -> QuerySet[Checkpoint]:
    return Checkpoint.objects.filter(job_id=job_id).defer("weights", "moments")
