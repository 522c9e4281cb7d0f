"""Announced algorithms, and how many answered, in steps."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Q

from collectives.models import Admission, Collective, NoticeAnswer, Subscription
from collectives.selectors.steps import bucketed


@dataclass(frozen=True, kw_only=True)
class NoticeNumbers:
    """What an owner may know about a notice: steps, never who."""

    admission: Admission
    without: str
    leaving: str
    remaining: str
    enough: bool


def notices_for(collective_ids: Iterable[uuid.UUID]) -> list[Admission]:
    """Announced algorithms of these collectives whose notice still runs, the soonest first."""
    found = Admission.objects.filter(collective_id__in=set(collective_ids), status=Admission.Status.ANNOUNCED)
    return list(found.select_related("algorithm", "collective").order_by("effective_at"))


def running_notices() -> list[Admission]:
    """Every announced algorithm whose notice still runs."""
    return list(Admission.objects.filter(status=Admission.Status.ANNOUNCED))


def answered(admission_id: uuid.UUID, subscription_keys: Iterable[str]) -> set[str]:
    """Which of these pseudonyms gave a signed answer to a notice. For the person's own link only, never for an owner."""
    found = NoticeAnswer.objects.filter(
        admission_id=admission_id, subscription__subscription_key__in=list(subscription_keys)
    )
    return set(found.values_list("subscription__subscription_key", flat=True))


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
