"""Home, how it works, the catalogue, and the cards of collectives and algorithms. Open to everybody; changes nothing."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from collectives import selectors
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
        "inputs": found.manifest["inputs"],
        "targets": found.manifest["target"],
        "manifest": json.dumps(found.manifest, indent=2, ensure_ascii=False),
    }
    return render(request, "catalogue/algorithm.html", context)


def _matching(cards: list[Card], wanted: dict[str, Any]) -> list[Card]:
    if wanted.get("field"):
        word = wanted["field"].strip().lower()
        cards = [card for card in cards if any(word in field.lower() for field in card.fields)]
    if wanted.get("rate"):
        cards = [card for card in cards if card.rate == wanted["rate"]]
    if wanted.get("cohort"):
        cards = [card for card in cards if card.terms.document["release_min"] >= wanted["cohort"]]
    return cards


def _sorted(cards: list[Card], by: str) -> list[Card]:
    if by == "rate":
        return sorted(cards, key=lambda card: -card.rate)
    if by == "newest":
        return sorted(cards, key=lambda card: card.collective.created_at, reverse=True)
    return cards
