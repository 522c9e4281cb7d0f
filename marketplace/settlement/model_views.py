"""Models for sale: the listing with its split, buying, downloading, offering. Services decide."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from collectives.models import Checkpoint, Job
from collectives.terms.algorithm import parse_manifest
from collectives.training.checkpoint import write_file
from marketplace.accounts.access import needs_role
from marketplace.accounts.models import Role
from marketplace.settlement import conf, sales, subjects
from marketplace.settlement.errors import ChainUnavailable, SettlementError
from marketplace.settlement.forms import OfferForm
from marketplace.settlement.models import ModelOffer


@login_required
@require_safe
def models(request: HttpRequest) -> HttpResponse:
    return render(request, "settlement/models.html", _listing(request))


def _listing(request: HttpRequest, form: OfferForm | None = None) -> dict[str, Any]:
    owner = request.user.has_role(Role.OWNER)  # type: ignore[union-attr]
    offerable = sales.offerable(request.user) if owner else []
    bought = {purchase.offer_id: purchase for purchase in reversed(sales.bought(request.user))}
    offers = ModelOffer.objects.select_related("asset__payee")
    jobs = Job.objects.filter(pk__in=offers.values("job_id")).select_related("algorithm", "collective")
    by_id = {job.pk: job for job in jobs}
    return {
        "rows": [
            _row(request, offer, by_id[offer.job_id], bought.get(offer.pk))
            for offer in offers
            if offer.status == ModelOffer.Status.OFFERED
            or offer.pk in bought
            or offer.asset.payee.account_id == request.user.pk
        ],
        "offerable": offerable,
        "form": form or OfferForm(jobs=offerable),
        "share": conf.get("MODEL_SHARE_PPM") / 10_000,
    }


def _row(request: HttpRequest, offer: ModelOffer, job: Job, purchase: Any) -> dict[str, Any]:
    last = subjects.last_checkpoint(job)
    on_sale = offer.status == ModelOffer.Status.OFFERED
    consumer = request.user.has_role(Role.CONSUMER)  # type: ignore[union-attr]
    return {
        "offer": offer,
        "name": job.algorithm.name,
        "purpose": job.algorithm.manifest["purpose"],
        "collective": job.collective.name,
        "visits": job.visits_earned,
        "hash": last.hash if last else "",
        "purchase": purchase,
        "mine": offer.asset.payee.account_id == request.user.pk
        and offer.status != ModelOffer.Status.WITHDRAWN,
        "can_buy": on_sale and consumer and (purchase is None or purchase.status == "failed"),
        "most": str(int(offer.price)),
    }


def _do(request: HttpRequest, verb: Callable[[], Any], done: str) -> HttpResponse:
    try:
        verb()
        messages.success(request, done)
    except SettlementError as error:
        messages.error(request, str(error))
    except ChainUnavailable:
        messages.error(request, _("The aggregator or the chain does not answer now. Try again in a minute."))
    return redirect("models")


@needs_role(Role.CONSUMER)
@require_POST
def buy(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """For the price the page showed, or not at all."""
    most = request.POST.get("most", "")
    if not (most.isascii() and most.isdecimal() and len(most) < 38):
        raise Http404
    done = _("On its way. You may download the model when the chain has confirmed your payment.")
    return _do(request, lambda: sales.buy(account=request.user, job_id=job_id, most=int(most)), done)


@needs_role(Role.OWNER)
@require_POST
def offer(request: HttpRequest) -> HttpResponse:
    form = OfferForm(request.POST, jobs=sales.offerable(request.user))
    if not form.is_valid():
        return render(request, "settlement/models.html", _listing(request, form), status=422)
    job_id, price = uuid.UUID(form.cleaned_data["job"]), form.cleaned_data["price"]
    done = _("On its way. The model is for sale when the chain has confirmed it.")
    return _do(request, lambda: sales.offer(actor=request.user, job_id=job_id, price=price), done)


@needs_role(Role.OWNER)
@require_POST
def withdraw(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    done = _("It is no longer for sale. Who bought it keeps it.")
    return _do(request, lambda: sales.withdraw(actor=request.user, job_id=job_id), done)


@login_required
@require_safe
def file(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """The finished model, for who paid for it."""
    found = sales.download(request.user, job_id)
    if found is None:
        raise Http404
    return model_file(found)


def model_file(found: Checkpoint) -> HttpResponse:
    """A finished model as a download, for the page and the API alike."""
    job = found.job
    facts = {"wallets": found.wallets, "aggregate_hash": found.aggregate_hash, "job_id": str(job.pk)}
    body = write_file(parse_manifest(job.algorithm.manifest), found.number, bytes(found.weights), facts)
    answer = HttpResponse(body, content_type="application/octet-stream")
    answer["Content-Disposition"] = f'attachment; filename="model-{str(job.pk)[:8]}-{found.number}.cssi"'
    return answer
