"""Reads that only pages need. As in `collectives.selectors`, numbers of people leave here in steps while they are live."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Prefetch, Q, QuerySet

from collectives.models import (
    Admission,
    Algorithm,
    Collective,
    Job,
    OutgoingCall,
    Round,
    Subscription,
    TermsVersion,
)
from collectives.selectors import bucketed

CLOSED = (Round.Status.POSTED, Round.Status.ABANDONED)


@dataclass(frozen=True, kw_only=True)
class NoticeNumbers:
    """What an owner may know about a notice: steps, never who."""

    admission: Admission
    without: str
    leaving: str
    remaining: str
    enough: bool


@dataclass(frozen=True, kw_only=True)
class VersionUse:
    version: TermsVersion
    subscribers: str


def closed_rounds(collective_id: uuid.UUID, limit: int | None = 10) -> QuerySet[Round]:
    rounds = Round.objects.filter(job__collective_id=collective_id, status__in=CLOSED).select_related(
        "job__algorithm"
    )
    return rounds.order_by("-ended_at", "-pk")[:limit]


def jobs_of(collective_id: uuid.UUID) -> QuerySet[Job]:
    done = Count("rounds", filter=Q(rounds__status=Round.Status.POSTED))
    return Job.objects.filter(collective_id=collective_id).select_related("algorithm").annotate(done=done)


def algorithm(manifest_hash: str) -> Algorithm | None:
    """An algorithm that the public may see: approved, with the collectives that announced it."""
    live = Admission.objects.exclude(status=Admission.Status.WITHDRAWN).select_related("collective")
    found = Algorithm.objects.filter(manifest_hash=manifest_hash, status=Algorithm.Status.APPROVED)
    return found.prefetch_related(Prefetch("admissions", live)).first()


def algorithms_by(author: Any) -> QuerySet[Algorithm]:
    return Algorithm.objects.filter(author=author).order_by("-created_at")


def announceable(collective: Collective) -> QuerySet[Algorithm]:
    """Approved algorithms that this collective has not announced."""
    live = collective.admissions.exclude(status=Admission.Status.WITHDRAWN).values("algorithm")
    return Algorithm.objects.filter(status=Algorithm.Status.APPROVED).exclude(pk__in=live)


def owned(account: Any, collective_id: uuid.UUID) -> Collective | None:
    return Collective.objects.filter(owner=account, pk=collective_id).first()


def names(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Names of collectives by id, for lists of somebody's own links and orders."""
    return dict(Collective.objects.filter(pk__in=set(ids)).values_list("pk", "name"))


def versions(collective: Collective) -> list[VersionUse]:
    """Terms versions, newest first, each with how many hold it, in steps."""
    active = Count("subscriptions", filter=Q(subscriptions__status=Subscription.Status.ACTIVE))
    found = collective.terms.annotate(holders=active).order_by("-version")
    return [VersionUse(version=version, subscribers=bucketed(version.holders)) for version in found]


def version_by_hash(terms_hash: str) -> TermsVersion | None:
    return TermsVersion.objects.filter(hash=terms_hash).first()


def notices_for(collective_ids: Iterable[uuid.UUID]) -> list[Admission]:
    """Announced algorithms of these collectives whose notice still runs, the soonest first."""
    found = Admission.objects.filter(collective_id__in=set(collective_ids), status=Admission.Status.ANNOUNCED)
    return list(found.select_related("algorithm", "collective").order_by("effective_at"))


def admissions(collective_id: uuid.UUID) -> list[Admission]:
    """All algorithms that a collective announced and did not withdraw."""
    found = Admission.objects.filter(collective_id=collective_id).exclude(status=Admission.Status.WITHDRAWN)
    return list(found.select_related("algorithm"))


def notice(collective_id: uuid.UUID, admission_id: uuid.UUID) -> Admission | None:
    found = Admission.objects.filter(collective_id=collective_id, pk=admission_id)
    return found.select_related("algorithm", "collective").first()


def notice_numbers(collective: Collective, release_min: int) -> list[NoticeNumbers]:
    """For each announced or active algorithm: how many refused it, and whether enough remain."""
    active = collective.subscriptions.filter(status=Subscription.Status.ACTIVE).count()
    counted = (
        collective.admissions.exclude(status=Admission.Status.WITHDRAWN)
        .select_related("algorithm")
        .annotate(
            refused=Count(
                "answers",
                filter=Q(answers__choice="without", answers__subscription__status=Subscription.Status.ACTIVE),
            ),
            left=Count("answers", filter=Q(answers__choice="leave")),
        )
    )
    return [
        NoticeNumbers(
            admission=row,
            without=bucketed(row.refused),
            leaving=bucketed(row.left),
            remaining=bucketed(active - row.refused),
            enough=active - row.refused >= release_min,
        )
        for row in counted
    ]


def enough_subscribers(collective: Collective, needed: int) -> bool:
    return collective.subscriptions.filter(status=Subscription.Status.ACTIVE).count() >= needed


def stop_is_pending(subscription_key: str) -> bool:
    """Whether the order to stop asking a wallet still waits for the distributor to answer."""
    waiting = OutgoingCall.objects.filter(
        key=f"revoked:{subscription_key}", status=OutgoingCall.Status.WAITING
    )
    return waiting.exists()


def jobs_by_id(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Job]:
    """Jobs with their algorithm and the number of rounds in the model."""
    done = Count("rounds", filter=Q(rounds__status=Round.Status.POSTED))
    found = Job.objects.filter(pk__in=set(ids)).select_related("algorithm").annotate(done=done)
    return {job.pk: job for job in found}
