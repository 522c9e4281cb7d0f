"""A consumer's pages: jobs, order in three steps, live, result. Views translate; services decide."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from collectives import selectors as collectives
from collectives.services.jobs import needs_approval
from marketplace.accounts.access import needs_role
from marketplace.accounts.models import Role
from marketplace.jobs import live, model_card, options, services
from marketplace.jobs.api_results import checkpoint_file
from marketplace.jobs.errors import OrderError
from marketplace.jobs.forms import AlgorithmStep, LimitsStep, MetricForm, RequestForm, spread
from marketplace.jobs.models import Order
from marketplace.settlement import preview
from marketplace.settlement import selectors as money
from marketplace.settlement.errors import SettlementError

consumer = needs_role(Role.CONSUMER)
STEPS = (("algorithm", lazy("Algorithm")), ("limits", lazy("Limits")), ("review", lazy("Review")))


@consumer
@require_safe
def jobs(request: HttpRequest) -> HttpResponse:
    orders = list(Order.objects.filter(consumer=request.user))
    found = collectives.jobs_by_id(order.job_id for order in orders)
    names = collectives.names(order.collective_id for order in orders)
    rows = [
        {"order": order, "job": found[order.job_id], "name": names.get(order.collective_id, "")}
        for order in orders
        if order.job_id in found
    ]
    return render(request, "jobs/jobs.html", {"rows": rows})


@consumer
@require_http_methods(["GET", "POST"])
def order(request: HttpRequest, collective_id: uuid.UUID) -> HttpResponse:
    """Three steps by GET, each carrying what was entered before; only the last button, by POST, orders and funds."""
    card = collectives.card(collective_id)
    if card is None:
        raise Http404
    if card.collective.status != "active":
        return redirect("collective", collective_id)  # its page says why, and what that means
    if request.method == "POST":
        return _place(request, card)
    chosen = AlgorithmStep(request.GET if "algorithm" in request.GET else None, card=card)
    if not chosen.is_valid():
        return _step(request, card, 0, chosen)
    if "budget" not in request.GET or "change" in request.GET:
        kept = {name: request.GET[name] for name in LimitsStep.base_fields if name in request.GET}
        return _step(request, card, 1, LimitsStep(initial=kept, card=card, consumer=request.user))
    limits = LimitsStep(request.GET, card=card, consumer=request.user)
    return _step(request, card, 2 if limits.is_valid() else 1, limits)


def _step(
    request: HttpRequest, card: Any, at: int, form: Any, problem: str = "", asking: RequestForm | None = None
) -> HttpResponse:
    steps = [
        {"label": label, "state": "done" if i < at else "now" if i == at else "later"}
        for i, (_name, label) in enumerate(STEPS)
    ]
    context: dict[str, Any] = {
        "card": card,
        "terms": card.terms.document,
        "steps": steps,
        "form": form,
        "problem": problem,
    }
    if at > 0:
        chosen = form["algorithm"].value()
        context["algorithm"] = next(a for a in card.admissions if a.algorithm.manifest_hash == chosen)
    if at == 2:
        context["spread"] = spread(card, form.cleaned_data["budget"])
        context["funds"] = money.funds(request.user)
        typed = {name: form[name].value() or "" for name in form.fields}
        context["change"] = urlencode(typed | {"change": 1})
        plan = services.planned(card, form.plan())
        context["options"] = options.lines(plan.clip_quantile_ppm, plan.poisson, form.plateau())
        context["cost"] = preview.of_job_of(
            request.user, card.collective.pk, form.cleaned_data["budget"], _evaluations(card, form)
        )
        if _asks(request, card):
            context["asking"] = asking or RequestForm()
    template = ("jobs/order_algorithm.html", "jobs/order_limits.html", "jobs/order_review.html")[at]
    return render(
        request,
        template,
        context,
        status=422 if form.errors or problem or (asking and asking.errors) else 200,
    )


def _evaluations(card: Any, form: LimitsStep) -> preview.Evaluations | None:
    """How many evaluations a job with a plateau rule may bring at most, and what each pays for its visits."""
    plateau, values = form.plateau(), form.cleaned_data
    if plateau is None:
        return None
    rounds = min(values["rounds"], spread(card, values["budget"])["rounds"])
    each = services.planned(card, form.plan()).invited() * card.rate
    return preview.Evaluations(most=rounds // plateau.every, each=each)


def _place(request: HttpRequest, card: Any) -> HttpResponse:
    form = LimitsStep(request.POST, card=card, consumer=request.user)
    if not form.is_valid():
        return (
            _step(request, card, 1, form) if "algorithm" not in form.errors else _step(request, card, 0, form)
        )
    asking = RequestForm(request.POST) if _asks(request, card) else None
    if asking is not None and not asking.is_valid():
        return _step(request, card, 2, form, asking=asking)
    try:
        placed = services.order(
            consumer=request.user,
            collective_id=card.collective.pk,
            manifest_hash=form.cleaned_data["algorithm"],
            budget=form.cleaned_data["budget"],
            max_rounds=form.cleaned_data["rounds"],
            plan=form.plan(),
            judged=form.checkpoint(),
            plateau=form.plateau(),
            request=asking.cleaned_data["request"] if asking else "",
            stop_rule=form.cleaned_data["stop_rule"],
        )
    except OrderError as error:
        return _step(request, card, 2, form, str(error), asking)
    if asking is not None:
        messages.success(
            request,
            _(
                "Ordered. The owner decides on it; you fund it once it is approved. Nothing is charged before."
            ),
        )
        return redirect("job", placed.job_id)
    try:
        services.fund(order=placed, actor=request.user)
        messages.success(request, _("Ordered. The job begins when the chain has confirmed the escrow."))
    except (SettlementError, OrderError) as error:
        messages.error(request, _("The order is kept, but it is not funded: %(why)s") % {"why": error})
    return redirect("job", placed.job_id)


@consumer
@require_safe
def job(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """The live page; with `?part=live` only the part that changes."""
    found = _order(request, job_id)
    context = live.context(found) | {"name": _name(found), "metric_form": MetricForm()}
    if request.GET.get("part") == "live":
        return render(request, "jobs/_live.html", context)
    context["checkpoints"] = list(collectives.checkpoints(job_id).order_by("-number"))
    return render(request, "jobs/job.html", context)


@consumer
@require_safe
def result(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    found = _order(request, job_id)
    card = model_card.build(found)
    others = Order.objects.filter(consumer=request.user).exclude(pk=found.pk)  # type: ignore[misc]
    context = live.context(found) | {
        "name": _name(found),
        "card": card,
        "choices": model_card.choices(card),
        "sizes": model_card.span(card["training"]["wallets_in_sums"]),
        "others": _named(others[:50]),
        "checkpoints": list(collectives.checkpoints(job_id).order_by("-number")),
        "escrow": money.escrow_state(job_id),
        "metric_form": MetricForm(),
    }
    return render(request, "jobs/result.html", context)


@consumer
@require_safe
def card_file(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """The model card as a JSON file, to keep beside the model."""
    answer = JsonResponse(model_card.build(_order(request, job_id)), json_dumps_params={"indent": 2})
    answer["Content-Disposition"] = f'attachment; filename="model-card-{str(job_id)[:8]}.json"'
    return answer


@consumer
@require_safe
def compare(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Two of one's own jobs side by side; `?with=` names the other one."""
    found = _order(request, job_id)
    others = _named(Order.objects.filter(consumer=request.user).exclude(pk=found.pk)[:50])  # type: ignore[misc]
    try:
        other = _order(request, uuid.UUID(request.GET.get("with", "")))
    except ValueError:
        return render(request, "jobs/compare.html", {"order": found, "name": _name(found), "others": others})
    cards = model_card.build(found), model_card.build(other)
    context = {
        "order": found,
        "name": _name(found),
        "other": other,
        "others": others,
        "rows": model_card.compare(*cards),
        "cards": cards,
        "chart": _both(found, other),
    }
    return render(request, "jobs/compare.html", context)


def _both(found: Order, other: Order) -> dict[str, Any]:
    """The first metric that both jobs have, as two lines of one chart."""
    charts = [
        {line["name"]: line["values"] for line in live.chart(order)["series"]} for order in (found, other)
    ]
    labels = [live.chart(order)["labels"] for order in (found, other)]
    shared = sorted(set(charts[0]) & set(charts[1]))
    if not shared:
        return {"labels": [], "series": []}
    every = sorted({*labels[0], *labels[1]})
    values = [dict(zip(labels[i], charts[i][shared[0]], strict=True)) for i in range(2)]
    names = [f"{shared[0]}, {_('this job')}", f"{shared[0]}, {_('the other job')}"]
    return {
        "labels": every,
        "series": [
            {"name": name, "values": [found.get(label) for label in every]}
            for name, found in zip(names, values, strict=True)
        ],
    }


def _named(orders: Any) -> list[dict[str, Any]]:
    """Orders with what to call their jobs, in two queries."""
    rows = list(orders)
    jobs = collectives.jobs_by_id(row.job_id for row in rows)
    return [{"order": row, "job": jobs[row.job_id]} for row in rows if row.job_id in jobs]


@consumer
@require_safe
def download(request: HttpRequest, job_id: uuid.UUID, number: int) -> HttpResponse:
    try:
        return checkpoint_file(_order(request, job_id), number)
    except OrderError as error:
        raise Http404 from error


@consumer
@require_POST
def act(request: HttpRequest, job_id: uuid.UUID, verb: str) -> HttpResponse:
    """Fund, pause, resume or stop."""
    found = _order(request, job_id)
    verbs: dict[str, tuple[Callable[[], Any], str]] = {
        "fund": (
            lambda: services.fund(order=found, actor=request.user),
            _("The budget is on its way into escrow."),
        ),
        "pause": (
            lambda: services.pause(order=found, actor=request.user),
            _("The job pauses after this round."),
        ),
        "resume": (
            lambda: services.pause(order=found, actor=request.user, resume=True),
            _("The job goes on."),
        ),
        "stop": (
            lambda: services.stop(order=found, actor=request.user),
            _(
                "The job stops after the running round. Visits already proven are paid; the rest comes back to you."
            ),
        ),
    }
    work, done = verbs[verb]
    try:
        work()
        messages.success(request, done)
    except (OrderError, SettlementError) as error:
        messages.error(request, str(error))
    return redirect("job", job_id)


@consumer
@require_POST
def metric(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    form = MetricForm(request.POST)
    try:
        if form.is_valid():
            services.report_metric(order=_order(request, job_id), actor=request.user, **form.cleaned_data)
            messages.success(request, _("Your measurement is on the chart."))
        else:
            said = [f"{form[name].label}: {words[0]}" for name, words in form.errors.items()]
            messages.error(request, _("Not noted. ") + " ".join(said))
    except OrderError as error:
        messages.error(request, str(error))
    return redirect("result", job_id)


def _asks(request: HttpRequest, card: Any) -> bool:
    """Whether this person's order waits for the owner of the collective."""
    return needs_approval(card.collective, card.terms.document, request.user)


def _order(request: HttpRequest, job_id: uuid.UUID) -> Order:
    """The consumer's own order, or nothing."""
    found = Order.objects.filter(job_id=job_id, consumer=request.user).first()  # type: ignore[misc]
    if found is None:
        raise Http404
    return found


def _name(found: Order) -> str:
    return collectives.names([found.collective_id]).get(found.collective_id, "")
