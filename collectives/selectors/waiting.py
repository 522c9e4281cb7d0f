"""What waits for the administrator. Counts only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from collectives.models import Algorithm, Collective, Job, OutgoingCall, Round
from collectives.selectors.jobs import CLOSED

LATE = timedelta(minutes=5)
"""A round this long past its phase's deadline does not move by itself."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """How many rows of a model (`admin` = its name in the admin's addresses, `query` chooses them) wait, and for what."""

    count: int
    words: str
    admin: str
    query: str


def waiting_for_administrator() -> list[Waiting]:
    """Only what is not zero, the most pressing first."""
    late = Round.objects.exclude(status__in=CLOSED).filter(deadline__lt=timezone.now() - LATE)
    found = [
        Waiting(
            count=Algorithm.objects.filter(status=Algorithm.Status.SUBMITTED).count(),
            words="algorithms wait for review",
            admin="collectives_algorithm",
            query=f"status__exact={Algorithm.Status.SUBMITTED}",
        ),
        Waiting(
            count=Job.objects.filter(rounds__in=late).distinct().count(),
            words="jobs have a round past its time; “End the running round” helps where a role is gone",
            admin="collectives_job",
            query=f"status__exact={Job.Status.RUNNING}",
        ),
        Waiting(
            count=Collective.objects.filter(status=Collective.Status.SUSPENDED).count(),
            words="collectives are suspended",
            admin="collectives_collective",
            query=f"status__exact={Collective.Status.SUSPENDED}",
        ),
        Waiting(
            count=OutgoingCall.objects.filter(status=OutgoingCall.Status.REFUSED).count(),
            words="calls were refused by the distributor for good",
            admin="collectives_outgoingcall",
            query=f"status__exact={OutgoingCall.Status.REFUSED}",
        ),
    ]
    return [row for row in found if row.count]
