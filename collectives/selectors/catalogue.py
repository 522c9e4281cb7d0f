"""What the public may read of collectives and their algorithms."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Prefetch, Q, QuerySet

from collectives.example_record import label
from collectives.models import Admission, Algorithm, Collective, TermsVersion
from collectives.selectors import audits
from collectives.selectors.steps import bucketed, step_of


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a listing shows about one collective. `step`: of its subscribers, as a number."""

    collective: Collective
    terms: TermsVersion
    step: int
    rate: int
    fields: tuple[str, ...]
    admissions: tuple[Admission, ...]

    @property
    def subscribers(self) -> str:
        """The step in the reader's words."""
        return bucketed(self.step)

    @property
    def attested(self) -> bool:
        """Whether at least one field must be proven by an issuer's signature."""
        fields = self.terms.document["requirement"]["properties"].values()
        return any(spec.get("x-assurance", "declared") != "declared" for spec in fields) or (
            self.terms.document["assurance"] != "declared"
        )


def public_collectives(search: str = "") -> list[Card]:
    """Active collectives, optionally those whose name, purpose, task or fields hold a text. Four queries whatever their number."""
    found = _with_card_parts(Collective.objects.filter(status=Collective.Status.ACTIVE))
    cards = [_card(collective) for collective in found if collective.terms.all()]
    wanted = search.strip().lower()
    if wanted:
        cards = [c for c in cards if wanted in _searched(c)]
    return cards


def matching(cards: Iterable[Card], wanted: Mapping[str, Any]) -> list[Card]:
    """The cards that hold to every filter that is set: `field`, `rate`, `cohort`, `assurance`, `orders`."""
    word = (wanted.get("field") or "").strip().lower()
    tests: list[Callable[[Card], bool]] = []
    if word:
        tests.append(lambda card: any(word in field.lower() for field in card.fields))
    if wanted.get("rate"):
        tests.append(lambda card: card.rate == wanted["rate"])
    if wanted.get("cohort"):
        tests.append(lambda card: card.terms.document["release_min"] >= wanted["cohort"])
    if wanted.get("assurance"):
        tests.append(lambda card: card.attested == (wanted["assurance"] == "attested"))
    if wanted.get("orders"):
        tests.append(lambda card: card.terms.document["order_policy"] == wanted["orders"])
    return [card for card in cards if all(test(card) for test in tests)]


ORDER_BY: dict[str, Callable[[Card], Any]] = {
    "name": lambda card: card.collective.name.lower(),
    "rate": lambda card: -card.rate,
    "cheapest": lambda card: card.rate,
    "subscribers": lambda card: -card.step,
    "cohort": lambda card: -card.terms.document["release_min"],
    "newest": lambda card: -card.collective.created_at.timestamp(),
}
"""Subscribers sort by their step: the order must not tell more than the card."""


def in_order(cards: Iterable[Card], by: str) -> list[Card]:
    """The cards by one of `ORDER_BY`, and by name where that says the same of two."""
    return sorted(cards, key=lambda card: (ORDER_BY[by](card), card.collective.name.lower()))


def public_algorithms(search: str = "") -> QuerySet[Algorithm]:
    """Approved algorithms, optionally those whose name holds a text; each with the collectives that announced it."""
    live = Admission.objects.exclude(status=Admission.Status.WITHDRAWN).select_related("collective")
    found = Algorithm.objects.filter(status=Algorithm.Status.APPROVED, name__icontains=search.strip())
    return found.prefetch_related(Prefetch("admissions", live), audits.reports_left_out())


def _searched(found: Card) -> str:
    words = (found.terms.document[part] for part in ("name", "purpose", "task_description"))
    return " ".join((*words, *found.fields)).lower()


def card(collective_id: uuid.UUID) -> Card | None:
    found = _with_card_parts(Collective.objects.filter(pk=collective_id)).first()
    return _card(found) if found is not None and found.terms.all() else None


def owned_by(account: Any) -> list[Card]:
    return [_card(c) for c in _with_card_parts(Collective.objects.filter(owner=account)) if c.terms.all()]


def current_terms(collective_id: uuid.UUID) -> TermsVersion | None:
    """The newest terms with their collective, in one query; a card counts subscribers besides."""
    versions = TermsVersion.objects.filter(collective_id=collective_id).select_related("collective")
    return versions.order_by("-version").first()


def terms_envelope(collective_id: uuid.UUID) -> dict[str, Any] | None:
    """The current signed terms, or None."""
    terms = current_terms(collective_id)
    return terms.envelope() if terms else None


def names(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Names of collectives by id, for lists of somebody's own links and orders."""
    return dict(Collective.objects.filter(pk__in=set(ids)).values_list("pk", "name"))


def fields_of(ids: Iterable[uuid.UUID]) -> dict[str, Any]:
    """The fields that these collectives' terms ask for, by short name; the newest terms win."""
    found = TermsVersion.objects.filter(collective_id__in=set(ids)).order_by("created_at")
    known: dict[str, Any] = {}
    for document in found.values_list("document", flat=True):
        known |= document["requirement"]["properties"]
    return known


def active_algorithms(collective_id: uuid.UUID) -> QuerySet[Admission]:
    return (
        Admission.objects.filter(collective_id=collective_id)
        .exclude(status="withdrawn")
        .select_related("algorithm")
    )


def algorithm(manifest_hash: str) -> Algorithm | None:
    """An algorithm that the public may see: approved, with the collectives that announced it."""
    return public_algorithms().filter(manifest_hash=manifest_hash).first()


def _with_card_parts(query: QuerySet[Collective]) -> QuerySet[Collective]:
    live = (
        Admission.objects.exclude(status="withdrawn")
        .select_related("algorithm")
        .prefetch_related(audits.reports_left_out("algorithm__audits"))
    )
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
        step=step_of(collective.active),  # type: ignore[attr-defined]
        rate=int(terms.document["rate"]),
        fields=tuple(label(name, spec) for name, spec in properties.items()),
        admissions=tuple(collective.admissions.all()),
    )
