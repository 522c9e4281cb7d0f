"""An author's algorithms: submit a manifest, see what the checks and the review said."""

from __future__ import annotations

import json
import uuid

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from collectives import selectors
from collectives.errors import CollectiveError
from collectives.forms import AlgorithmForm
from collectives.models import Algorithm
from collectives.ready_made import ReadyMadeForm
from collectives.services import algorithms
from collectives.views.access import needs_role

author = needs_role("author")
EXAMPLE = """{
  "version": 1,
  "name": "Two layers",
  "purpose": "Predict one yes-or-no answer from two numbers",
  "inputs": ["age", "hours"],
  "target": ["answer"],
  "width_in": 2,
  "width_out": 1,
  "layers": [
    {"op": "linear", "out": 16, "bias": true},
    {"op": "relu"},
    {"op": "linear", "out": 1, "bias": true}
  ],
  "loss": "bce-with-logits",
  "training": {"learning_rate_micro": 100000, "steps": 1},
  "output": {"kind": "gradient", "clip_micro": 1000000}
}"""


@author
@require_safe
def mine(request: HttpRequest) -> HttpResponse:
    return render(
        request, "collectives/algorithms.html", {"algorithms": selectors.algorithms_by(request.user)}
    )


@author
@require_http_methods(["GET", "POST"])
def submit(request: HttpRequest) -> HttpResponse:
    form = AlgorithmForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            algorithm = algorithms.submit(
                actor=request.user, manifest=form.cleaned_data["manifest"], name=form.cleaned_data["name"]
            )
            if algorithm.status == Algorithm.Status.SUBMITTED:
                messages.success(request, _("Submitted. A person reviews it; the state stands below."))
            else:
                words = _("You submitted this very algorithm before; it is %(state)s.")
                messages.info(request, words % {"state": algorithm.get_status_display()})
            return redirect("algorithms")
        except CollectiveError as error:
            form.add_error(None, str(error))
    return _submit_page(request, form)


def _submit_page(request: HttpRequest, form: AlgorithmForm) -> HttpResponse:
    context = {"form": form, "example": EXAMPLE}
    return render(request, "collectives/submit.html", context, status=422 if form.errors else 200)


@author
@require_safe
def ready_made(request: HttpRequest) -> HttpResponse:
    """Whose data the algorithm shall read; with `?collective=`, on to the choices for it."""
    chosen = request.GET.get("collective", "")
    cards = selectors.in_order(selectors.public_collectives(), "name")
    if any(chosen == str(card.collective.pk) for card in cards):
        return redirect("algorithm-ready-made-for", chosen)
    return render(request, "collectives/ready_made.html", {"cards": cards})


@author
@require_http_methods(["GET", "POST"])
def ready_made_for(request: HttpRequest, collective_id: uuid.UUID) -> HttpResponse:
    """Choose a kind and fields; the manifest made of them stands in the submission form, where it can be read and changed."""
    card = selectors.card(collective_id)
    if card is None:
        raise Http404
    requirement = card.terms.document["requirement"]
    form = ReadyMadeForm(request.POST if request.method == "POST" else None, requirement=requirement)
    if request.method == "POST" and form.is_valid():
        text = json.dumps(form.cleaned_data["manifest"], indent=2, ensure_ascii=False)
        messages.info(request, _("Made. Read it below, give it a name, and submit it."))
        return _submit_page(request, AlgorithmForm(initial={"text": text}))
    context = {"card": card, "form": form}
    return render(request, "collectives/ready_made.html", context, status=422 if form.errors else 200)
