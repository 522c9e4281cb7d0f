"""Home, how it works, the catalogue, and the cards of collectives and algorithms. Open to everybody; changes nothing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from collectives import selectors
from collectives.example_record import label
from collectives.models import Algorithm
from collectives.selectors import Card
from marketplace.catalogue.forms import CatalogueForm
from marketplace.individuals import selectors as mine
from marketplace.jobs.forms import BudgetForm

PER_PAGE = 24
HOME_CARDS = 3


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    cards = selectors.public_collectives()
    return render(request, "catalogue/home.html", {"cards": cards[:HOME_CARDS], "number": len(cards)})


@require_safe
def how(request: HttpRequest) -> HttpResponse:
    return render(request, "catalogue/how.html")


@require_safe
def catalogue(request: HttpRequest) -> HttpResponse:
    form = CatalogueForm(request.GET or None)
    wanted: dict[str, Any] = form.cleaned_data if form.is_valid() else {}
    cards = _sorted(
        _matching(selectors.public_collectives(wanted.get("q", "")), wanted), wanted.get("sort") or "name"
    )
    page = Paginator(cards, PER_PAGE).get_page(request.GET.get("page"))
    kept = request.GET.copy()
    kept.pop("page", None)
    context = {
        "form": form,
        "page": page,
        "filtered": any(wanted.values()),
        "query": f"&{kept.urlencode()}" if kept else "",
    }
    return render(request, "catalogue/catalogue.html", context)


@require_safe
def collective(request: HttpRequest, collective_id: uuid.UUID) -> HttpResponse:
    card = selectors.card(collective_id)
    if card is None:
        raise Http404
    context = {
        "card": card,
        "terms": card.terms.document,
        "link": mine.open_link(request.user, collective_id) if request.user.is_authenticated else None,
        "calculator": BudgetForm(request.GET if "budget" in request.GET else None, card=card),
        "closed_rounds": selectors.closed_rounds(collective_id),
    }
    return render(request, "catalogue/collective.html", context)


@require_safe
def algorithm(request: HttpRequest, manifest_hash: str) -> HttpResponse:
    found = selectors.algorithm(manifest_hash)
    if found is None:
        raise Http404
    context = {
        "algorithm": found,
        "admissions": found.admissions.all(),
        "inputs": _titles(found, "inputs"),
        "targets": _titles(found, "target"),
        "manifest": json.dumps(found.manifest, indent=2, ensure_ascii=False),
    }
    return render(request, "catalogue/algorithm.html", context)


def _titles(found: Algorithm, part: str) -> list[str]:
    """The fields of a manifest as the collectives that announced it call them for people."""
    known = selectors.fields_of(row.collective_id for row in found.admissions.all())
    return [label(name, known.get(name, {})) for name in found.manifest.get(part, [])]


def _matching(cards: list[Card], wanted: dict[str, Any]) -> list[Card]:
    """The cards that hold to every filter that was set."""
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


def _sorted(cards: list[Card], by: str) -> list[Card]:
    return sorted(cards, key=lambda card: (ORDER_BY[by](card), card.collective.name.lower()))
