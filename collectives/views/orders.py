"""Orders that wait for the owner, where the terms say that the owner approves orders."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from collectives import selectors
from collectives.errors import CollectiveError
from collectives.forms import ReturnForm
from collectives.services import jobs
from collectives.views.access import needs_role, own_collective
from collectives.views.console import console_context

owner = needs_role("owner")


@owner
@require_safe
def orders(request: HttpRequest, collective_id: uuid.UUID) -> HttpResponse:
    return _page(request, collective_id)


@owner
@require_POST
def approve(request: HttpRequest, collective_id: uuid.UUID, job_id: uuid.UUID) -> HttpResponse:
    _ours(request, collective_id, job_id)
    try:
        jobs.approve(actor=request.user, job_id=job_id)
        messages.success(request, _("Approved. The job begins when its budget is in escrow."))
    except CollectiveError as error:
        messages.error(request, str(error))
    return redirect("collective-orders", collective_id)


@owner
@require_POST
def return_(request: HttpRequest, collective_id: uuid.UUID, job_id: uuid.UUID) -> HttpResponse:
    _ours(request, collective_id, job_id)
    form = ReturnForm(request.POST, prefix=str(job_id))
    if not form.is_valid():
        return _page(request, collective_id, refused=form, status=422)
    try:
        jobs.return_(actor=request.user, job_id=job_id, reason=form.cleaned_data["reason"])
        messages.success(request, _("Returned. Who ordered it reads your reason; nothing was charged."))
    except CollectiveError as error:
        messages.error(request, str(error))
    return redirect("collective-orders", collective_id)


def _ours(request: HttpRequest, collective_id: uuid.UUID, job_id: uuid.UUID) -> None:
    own_collective(request, collective_id)
    job = selectors.job(job_id)
    if job is None or job.collective_id != collective_id:
        raise Http404


def _page(
    request: HttpRequest, collective_id: uuid.UUID, *, refused: ReturnForm | None = None, status: int = 200
) -> HttpResponse:
    context = console_context(own_collective(request, collective_id))
    waiting = list(selectors.orders_waiting(collective_id))
    forms = {str(job.pk): ReturnForm(prefix=str(job.pk)) for job in waiting}
    if refused is not None:
        forms[str(refused.prefix)] = refused
    context |= {
        "waiting": [
            {"job": job, "form": forms[str(job.pk)], "budget": job.rate * job.visits_budget}
            for job in waiting
        ],
        "decided": list(selectors.orders_decided(collective_id)),
    }
    return render(request, "collectives/orders.html", context, status=status)
