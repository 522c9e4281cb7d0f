"""What an owner or an author may read of what is theirs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, QuerySet

from collectives.models import Admission, Algorithm, Collective, Subscription, TermsVersion
from collectives.selectors import audits
from collectives.selectors.steps import bucketed


@dataclass(frozen=True, kw_only=True)
class VersionUse:
    version: TermsVersion
    subscribers: str


def owned(account: Any, collective_id: uuid.UUID) -> Collective | None:
    return Collective.objects.filter(owner=account, pk=collective_id).first()


def versions(collective: Collective) -> list[VersionUse]:
    """Terms versions, newest first, each with how many hold it, in steps."""
    active = Count("subscriptions", filter=Q(subscriptions__status=Subscription.Status.ACTIVE))
    found = collective.terms.annotate(holders=active).order_by("-version")
    return [VersionUse(version=version, subscribers=bucketed(version.holders)) for version in found]


def terms_at(collective_id: uuid.UUID, moment: datetime) -> TermsVersion | None:
    """The terms that were on offer at a moment."""
    return (
        TermsVersion.objects.filter(collective_id=collective_id, created_at__lte=moment)
        .order_by("-version")
        .first()
    )


def version_by_hash(terms_hash: str) -> TermsVersion | None:
    return TermsVersion.objects.filter(hash=terms_hash).first()


def algorithms_by(author: Any) -> QuerySet[Algorithm]:
    found = Algorithm.objects.filter(author=author).order_by("-created_at")
    return found.prefetch_related(audits.reports_left_out())


def announceable(collective: Collective) -> QuerySet[Algorithm]:
    """Approved algorithms that this collective has not announced."""
    live = collective.admissions.exclude(status=Admission.Status.WITHDRAWN).values("algorithm")
    found = Algorithm.objects.filter(status=Algorithm.Status.APPROVED).exclude(pk__in=live)
    return found.prefetch_related(audits.reports_left_out())


def enough_subscribers(collective: Collective, needed: int) -> bool:
    return collective.subscriptions.filter(status=Subscription.Status.ACTIVE).count() >= needed
