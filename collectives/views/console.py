"""The owner's console: overview, terms, notices, rounds. Numbers of people come in steps; nothing here is per person."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from collectives import selectors
from collectives.errors import CollectiveError
from collectives.forms import AnnounceForm
from collectives.models import Collective, Round
from collectives.services import algorithms
from collectives.views.access import needs_role, own_collective

owner = needs_role("owner")
PER_PAGE = 50


@owner
@require_safe
def console(request: HttpRequest) -> HttpResponse:
    cards = selectors.owned_by(request.user)
    return render(
        request, "collectives/console.html", {"cards": cards, "is_author": request.user.has_role("author")}
    )  # type: ignore[union-attr]


@owner
@require_safe
def overview(request: HttpRequest, collective_id: uuid.UUID) -> HttpResponse:
    collective = own_collective(request, collective_id)
    context = console_context(collective)
    needed = selectors.subscribers_needed(context["terms"])
    context |= {
        "notices": selectors.notice_numbers(collective, context["terms"]["release_min"]),
        "jobs": list(selectors.jobs_of(collective_id)[:10]),
        "needed": needed,
        "enough": selectors.eligible(collective) >= needed,
        "weeks": selectors.weekly(collective, timezone.now()),
        "running": selectors.running(collective),
    }
    return render(request, "collectives/overview.html", context)


@owner
@require_safe
def terms(request: HttpRequest, collective_id: uuid.UUID) -> HttpResponse:
    """All versions; `?from=1&to=2` shows two of them side by side."""
    collective = own_collective(request, collective_id)
    versions = selectors.versions(collective)
    by_number = {str(row.version.version): row.version for row in versions}
    newest = versions[0].version
    after = by_number.get(request.GET.get("to", ""), newest)
    before = by_number.get(request.GET.get("from", ""), by_number.get(str(after.version - 1)))
    context = console_context(collective) | {"versions": versions, "before": before, "after": after}
    return render(request, "collectives/terms.html", context)


@owner
@require_http_methods(["GET", "POST"])
def announce(request: HttpRequest, collective_id: uuid.UUID) -> HttpResponse:
    collective = own_collective(request, collective_id)
    form = AnnounceForm(
        request.POST if request.method == "POST" else None, algorithms=selectors.announceable(collective)
    )
    if request.method == "POST" and form.is_valid():
        try:
            algorithms.announce(
                actor=request.user,
                collective=collective,
                algorithm=form.cleaned_data["algorithm"],
                reason=form.cleaned_data["reason"],
            )
            messages.success(
                request, _("Announced. Every subscriber is told; nothing runs before the notice is over.")
            )
            return redirect("collective-console", collective.pk)
        except CollectiveError as error:
            form.add_error(None, str(error))
    context = console_context(collective)
    context |= {
        "form": form,
        "earliest": timezone.now() + timedelta(seconds=context["terms"]["notice_seconds"]),
    }
    return render(request, "collectives/announce.html", context, status=422 if form.errors else 200)


@owner
@require_safe
def rounds(request: HttpRequest, collective_id: uuid.UUID) -> HttpResponse:
    collective = own_collective(request, collective_id)
    page = Paginator(selectors.closed_rounds(collective_id, limit=None), PER_PAGE).get_page(
        request.GET.get("page")
    )
    return render(
        request,
        "collectives/rounds.html",
        console_context(collective) | {"page": page, "rows": _told(collective, list(page))},
    )


def _told(collective: Collective, rounds: list[Round]) -> list[tuple[Round, Any, float | None]]:
    """Each round with what it found out about a model, where it judged one, and the epsilon its job had reached by then."""
    losses, epsilons = selectors.judged(rounds), selectors.epsilon_after(collective.pk, rounds)
    return [(row, losses.get(row.pk), epsilons.get(row.pk)) for row in rounds]


def console_context(collective: Collective) -> dict[str, Any]:
    card = selectors.card(collective.pk)
    assert card is not None  # a collective is never without terms
    terms = card.terms.document
    waiting = selectors.orders_waiting(collective.pk).count() if terms["order_policy"] == "approval" else 0
    return {"collective": collective, "card": card, "terms": terms, "orders_waiting": waiting}
