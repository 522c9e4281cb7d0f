"""Home, how it works, the catalogue, and the cards of collectives and algorithms. Open to everybody; changes nothing."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from collectives import selectors
from collectives.example_record import label
from collectives.models import Algorithm
from collectives.training.catalogue import entries
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
    found = selectors.matching(selectors.public_collectives(wanted.get("q", "")), wanted)
    cards = selectors.in_order(found, wanted.get("sort") or "name")
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
def algorithms(request: HttpRequest) -> HttpResponse:
    """Approved algorithms, and the kinds that are ready to be made for any data."""
    word = request.GET.get("q", "").replace("\x00", "")[:100]
    found = selectors.public_algorithms(word).order_by("name", "pk")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "word": word,
        "page": page,
        "kinds": entries(),
        "query": "&" + urlencode({"q": word}) if word else "",
    }
    return render(request, "catalogue/algorithms.html", context)


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
