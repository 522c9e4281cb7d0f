"""What an owner or an author may read of what is theirs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from collectives.models import Admission, Algorithm, Collective, Subscription, TermsVersion
from collectives.models.jobs import LIVE
from collectives.selectors import audits
from collectives.selectors.steps import bucketed

WEEKS = 8


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


def subscribers_needed(terms: Mapping[str, Any]) -> int:
    """So many must subscribe before a job of these terms begins."""
    factor = 1 if terms["development"] else int(settings.SUBSCRIBERS_PER_COHORT)
    return factor * int(terms["release_min"])


def eligible(collective: Collective) -> int:
    """Subscriptions that a job could draw from now; exact, so for decisions only."""
    live = collective.subscriptions.filter(status=Subscription.Status.ACTIVE, expires_at__gt=timezone.now())
    return live.count()


@dataclass(frozen=True, kw_only=True)
class Week:
    """`subscribers`: in steps, at the end of the week's last day."""

    ends: date
    subscribers: str


def weekly(collective: Collective, now: datetime, weeks: int = WEEKS) -> list[Week]:
    """How many were subscribed at the end of each of the last weeks and are now, the newest first, in steps. One query."""
    ends = [now - timedelta(weeks=ago) for ago in range(weeks)]
    counts = {
        f"at_{ago}": Count("pk", filter=Q(subscribed_at__lte=end, expires_at__gt=end) & _not_revoked(end))
        for ago, end in enumerate(ends)
    }
    found = collective.subscriptions.aggregate(**counts)
    return [Week(ends=end.date(), subscribers=bucketed(found[f"at_{ago}"])) for ago, end in enumerate(ends)]


def _not_revoked(moment: datetime) -> Q:
    return Q(revoked_at__isnull=True) | Q(revoked_at__gt=moment)


@dataclass(frozen=True, kw_only=True)
class Running:
    """`jobs` that are paid for and not over, `left`: what of their budgets is not earned, base units."""

    jobs: int
    left: int


def running(collective: Collective) -> Running:
    live = collective.jobs.filter(status__in=LIVE)
    found = list(live.values_list("rate", "visits_budget", "visits_earned"))
    return Running(jobs=len(found), left=sum(int(rate) * (total - earned) for rate, total, earned in found))
