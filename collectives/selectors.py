"""Reads of the collective domain for pages and APIs. Counts of people leave here only in steps, never exact while live."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Prefetch, Q, QuerySet

from collectives.models import Admission, Checkpoint, Collective, Job, Subscription, TermsVersion
from collectives.services.plan import JobPlan

STEPS = (1, 10, 50, 100, 300, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000)


def bucketed(count: int) -> str:
    """A number of people in steps: 447 -> '300+'."""
    reached = [step for step in STEPS if step <= count]
    return f"{reached[-1]:,}+" if reached else "none yet"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a listing shows about one collective."""

    collective: Collective
    terms: TermsVersion
    subscribers: str
    rate: int
    fields: tuple[str, ...]
    admissions: tuple[Admission, ...]


def public_collectives(search: str = "") -> list[Card]:
    """Active collectives, optionally those whose name or purpose holds a text. Three queries whatever their number."""
    found = _with_card_parts(Collective.objects.filter(status=Collective.Status.ACTIVE))
    cards = [_card(collective) for collective in found if collective.terms.all()]
    wanted = search.strip().lower()
    if wanted:
        cards = [
            c for c in cards if wanted in f"{c.terms.document['name']} {c.terms.document['purpose']}".lower()
        ]
    return cards


def card(collective_id: uuid.UUID) -> Card | None:
    found = _with_card_parts(Collective.objects.filter(pk=collective_id)).first()
    return _card(found) if found is not None and found.terms.all() else None


def owned_by(account: Any) -> list[Card]:
    return [_card(c) for c in _with_card_parts(Collective.objects.filter(owner=account)) if c.terms.all()]


def terms_envelope(collective_id: uuid.UUID) -> dict[str, Any] | None:
    """The current signed terms, or None."""
    terms = TermsVersion.objects.filter(collective_id=collective_id).order_by("-version").first()
    return terms.envelope() if terms else None


def subscription_state(subscription_key: str) -> Subscription | None:
    return (
        Subscription.objects.select_related("terms", "collective")
        .filter(subscription_key=subscription_key)
        .first()
    )


def active_algorithms(collective_id: uuid.UUID) -> QuerySet[Admission]:
    return (
        Admission.objects.filter(collective_id=collective_id)
        .exclude(status="withdrawn")
        .select_related("algorithm")
    )


def job(job_id: uuid.UUID) -> Job | None:
    return Job.objects.select_related("algorithm", "collective").filter(pk=job_id).first()


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


def agreements_for_epoch(collective_id: uuid.UUID) -> list[str]:
    """Hashes of the agreements in force, ascending: the leaves of the registry's root."""
    active = Subscription.objects.filter(collective_id=collective_id, status=Subscription.Status.ACTIVE)
    return sorted(active.values_list("agreement_hash", flat=True))


def revoked_agreements(collective_id: uuid.UUID) -> list[str]:
    gone = Subscription.objects.filter(collective_id=collective_id, status=Subscription.Status.REVOKED)
    return sorted(gone.values_list("agreement_hash", flat=True))


def _with_card_parts(query: QuerySet[Collective]) -> QuerySet[Collective]:
    live = Admission.objects.exclude(status="withdrawn").select_related("algorithm")
    return query.annotate(
        active=Count("subscriptions", filter=Q(subscriptions__status="active"))
    ).prefetch_related(
        Prefetch("terms", TermsVersion.objects.order_by("-version")), Prefetch("admissions", live)
    )


def _card(collective: Collective) -> Card:
    terms = collective.terms.all()[0]
    properties = terms.document["requirement"]["properties"]
    return Card(
        collective=collective,
        terms=terms,
        subscribers=bucketed(collective.active),  # type: ignore[attr-defined]
        rate=int(terms.document["rate"]),
        fields=tuple(str(spec.get("title") or name) for name, spec in properties.items()),
        admissions=tuple(collective.admissions.all()),
    )
