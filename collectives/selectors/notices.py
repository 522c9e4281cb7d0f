"""Announced algorithms, and how many answered, in steps."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from collectives.models import Admission, Collective, NoticeAnswer, Subscription, TermsVersion
from collectives.selectors.steps import bucketed, bucketed_above


@dataclass(frozen=True, kw_only=True)
class NoticeNumbers:
    """What an owner may know about a notice: steps, never who."""

    admission: Admission
    delivered: str
    without: str
    leaving: str
    remaining: str
    enough: bool


def notices_for(collective_ids: Iterable[uuid.UUID]) -> list[Admission]:
    """Announced algorithms of these collectives whose notice still runs, the soonest first."""
    found = Admission.objects.filter(collective_id__in=set(collective_ids), status=Admission.Status.ANNOUNCED)
    return list(found.select_related("algorithm", "collective").order_by("effective_at"))


def a_notice_runs() -> bool:
    """Whether `running_notices` has any."""
    return Admission.objects.filter(status=Admission.Status.ANNOUNCED).exists()


def running_notices() -> list[Admission]:
    """Every announced algorithm whose notice still runs."""
    return list(Admission.objects.filter(status=Admission.Status.ANNOUNCED).select_related("algorithm"))


def answered(admission_id: uuid.UUID, subscription_keys: Iterable[str]) -> set[str]:
    """Which of these pseudonyms gave a signed answer to a notice. For the person's own link only, never for an owner."""
    found = NoticeAnswer.objects.filter(
        admission_id=admission_id, subscription__subscription_key__in=list(subscription_keys)
    )
    return set(found.values_list("subscription__subscription_key", flat=True))


def agreed_by_subscribing(terms_hashes: Iterable[str]) -> set[tuple[str, str]]:
    """(hash of the terms, hash of the manifest) of every algorithm that these terms name: nobody is asked about it again."""
    found = TermsVersion.objects.filter(hash__in=set(terms_hashes)).values_list("hash", "document")
    return {(ident, manifest) for ident, document in found for manifest in document["permitted_manifests"]}


def terms_naming(admission: Admission) -> list[str]:
    """Hashes of the collective's terms that name this algorithm."""
    found = TermsVersion.objects.filter(collective_id=admission.collective_id).values_list("hash", "document")
    manifest = admission.algorithm.manifest_hash
    return [ident for ident, document in found if manifest in document["permitted_manifests"]]


def admissions(collective_id: uuid.UUID) -> list[Admission]:
    """All algorithms that a collective announced and did not withdraw."""
    found = Admission.objects.filter(collective_id=collective_id).exclude(status=Admission.Status.WITHDRAWN)
    return list(found.select_related("algorithm"))


def notice(collective_id: uuid.UUID, admission_id: uuid.UUID) -> Admission | None:
    found = Admission.objects.filter(collective_id=collective_id, pk=admission_id)
    return found.select_related("algorithm", "collective").first()


def willing(admission: Admission, versions: Sequence[TermsVersion]) -> QuerySet[Subscription]:
    """Active subscriptions whose wallet lets this algorithm run, as far as their signed answers and terms say.

    `versions` are the collective's terms. An algorithm named in the terms a wallet signed needs no answer; else the latest
    answer counts, and where there is none, what silence means in the terms that this very wallet signed.
    """
    named = [v.pk for v in versions if admission.algorithm.manifest_hash in v.document["permitted_manifests"]]
    silent = [v.pk for v in versions if v.document["silence"] == "with"]
    answers = NoticeAnswer.objects.filter(subscription=OuterRef("pk"), admission=admission)
    return Subscription.objects.filter(
        Q(terms__in=named) | Exists(answers.filter(choice="with")) | (Q(terms__in=silent) & ~Exists(answers)),
        collective_id=admission.collective_id,
        status=Subscription.Status.ACTIVE,
        expires_at__gt=timezone.now(),
    )


def notice_numbers(collective: Collective, release_min: int) -> list[NoticeNumbers]:
    """For each announced or active algorithm: how many refused it, and whether enough remain."""
    versions = list(collective.terms.all())
    live = Q(answers__choice="without", answers__subscription__status=Subscription.Status.ACTIVE)
    counted = (
        collective.admissions.exclude(status=Admission.Status.WITHDRAWN)
        .select_related("algorithm")
        .annotate(
            refused=Count("answers", filter=live), left=Count("answers", filter=Q(answers__choice="leave"))
        )
    )
    rows, found = list(counted), []
    remaining = _remaining(collective, rows, versions)
    for row in rows:
        remain = remaining[row.pk]
        found.append(
            NoticeNumbers(
                admission=row,
                delivered=_delivered(row, release_min),
                without=bucketed(row.refused),
                leaving=bucketed(row.left),
                remaining=bucketed(remain),
                enough=remain >= release_min,
            )
        )
    return found


def _delivered(admission: Admission, release_min: int) -> str:
    """To how many wallets the notice went. Below the smallest group not even in steps: arrivals tell who is online."""
    if admission.delivered is not None:
        return bucketed_above(admission.delivered, release_min)
    return _("not counted yet") if admission.effective_at > timezone.now() else _("no notice was needed")


def _remaining(
    collective: Collective, admissions: Sequence[Admission], versions: Sequence[TermsVersion]
) -> dict[uuid.UUID, int]:
    """How many `willing` finds for each of these, in two queries whatever their number."""
    live = Q(status=Subscription.Status.ACTIVE, expires_at__gt=timezone.now())
    held = dict(collective.subscriptions.filter(live).order_by().values_list("terms").annotate(Count("pk")))
    answers = NoticeAnswer.objects.filter(
        admission__in=admissions, subscription__in=collective.subscriptions.filter(live)
    )
    said = {
        (admission, terms, choice): number
        for admission, terms, choice, number in answers.order_by()
        .values_list("admission", "subscription__terms", "choice")
        .annotate(Count("pk"))
    }
    remaining = dict.fromkeys((row.pk for row in admissions), 0)
    for row in admissions:
        for version in versions:
            here = {c: n for (a, t, c), n in said.items() if (a, t) == (row.pk, version.pk)}
            if row.algorithm.manifest_hash in version.document["permitted_manifests"]:
                remaining[row.pk] += held.get(version.pk, 0)
            else:
                silent = held.get(version.pk, 0) - sum(here.values())
                stays = silent if version.document["silence"] == "with" else 0
                remaining[row.pk] += here.get("with", 0) + stays
    return remaining
