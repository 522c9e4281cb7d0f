"""What the collective domain counts for whoever watches it: numbers of jobs, subscriptions and calls that wait."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count
from django.utils import timezone

from collectives.models import Job, OutgoingCall, Subscription


def samples() -> Iterator[tuple[str, str, dict[str, str], float]]:
    found = dict(Job.objects.values_list("status").annotate(Count("pk")))
    for status in Job.Status.values:
        yield "jobs", "training jobs by status", {"status": status}, found.get(status, 0)
    yield "subscriptions", "subscriptions ever made and not erased", {}, Subscription.objects.count()
    waiting = OutgoingCall.objects.filter(status=OutgoingCall.Status.WAITING)
    yield "outgoing_calls_waiting", "calls to other roles that wait", {}, waiting.count()
    oldest = waiting.order_by("created_at").values_list("created_at", flat=True).first()
    age = (timezone.now() - oldest).total_seconds() if oldest else 0
    yield "outgoing_call_oldest_seconds", "age of the oldest of them", {}, age
