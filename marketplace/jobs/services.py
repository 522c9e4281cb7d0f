"""Order a job, fund it, stop it, report a metric; and carry orders on as money and job allow."""

from __future__ import annotations

import math
import time
import uuid
from typing import Any

import structlog
from django.db import transaction

from collectives import selectors as collectives
from collectives.errors import CollectiveError
from collectives.models import Algorithm, Collective, Job
from collectives.models.jobs import ENDED
from collectives.services import jobs
from collectives.services.plan import JobPlan
from collectives.terms.description import tokens
from marketplace.accounts.models import Role
from marketplace.jobs.errors import OrderError
from marketplace.jobs.models import Metric, Order
from marketplace.settlement import selectors as money
from marketplace.settlement import services as settlement

log = structlog.get_logger(__name__)
ESCROW_SECONDS = 30 * 24 * 3600
S = Job.Status


def order(
    *,
    consumer: Any,
    collective_id: uuid.UUID,
    manifest_hash: str,
    budget: int,
    max_rounds: int,
    plan: JobPlan | None = None,
) -> Order:
    """An order with its validated job, not yet funded. `budget` in base units.

    Raises:
        OrderError: with the numbers that are wrong.
    """
    if not consumer.has_role(Role.CONSUMER):
        raise OrderError(
            "not_a_consumer", "Ordering needs the data consumer role; add it in your account.", status=403
        )
    card = collectives.card(collective_id)
    algorithm = Algorithm.objects.filter(manifest_hash=manifest_hash).first()
    if card is None or algorithm is None:
        raise OrderError("unknown", "There is no such collective or algorithm.", status=404)
    blocked = money.new_jobs_blocked()
    if blocked:
        raise OrderError("blocked", f"No new jobs at the moment: {blocked}", status=409)
    terms = card.terms.document
    smallest = card.rate * terms["release_min"]
    if budget < smallest:
        raise OrderError(
            "budget_too_small",
            f"The budget of {tokens(budget)} {terms['token']} is below {tokens(smallest)}: one round visits at least "
            f"{terms['release_min']} wallets at {tokens(card.rate)} each.",
        )
    chosen = plan or default_plan(card.collective, terms)
    try:
        with transaction.atomic():
            job = jobs.create(
                actor=consumer,
                collective=card.collective,
                algorithm=algorithm,
                max_rounds=max_rounds,
                visits_budget=budget // card.rate,
                plan=chosen,
            )
            return Order.objects.create(
                consumer=consumer, collective_id=collective_id, job_id=job.pk, budget=budget, rate=card.rate
            )
    except CollectiveError as error:
        raise OrderError(error.code, str(error), status=error.status) from error


def default_plan(collective: Collective, terms: dict[str, Any]) -> JobPlan:
    """A cohort a third above the minimum, so that dropouts do not stop a round; fewer where fewer subscribe."""
    subscribers = collective.subscriptions.filter(status="active").count()
    wanted = math.ceil(terms["release_min"] * 1.3)
    cohort = max(terms["release_min"], min(wanted, math.ceil(subscribers / 1.1) or wanted))
    # A bucket has room to lose a few wallets before it falls below the collective's smallest.
    return JobPlan(cohort=cohort, bucket_size=min(255, max(50, math.ceil(terms["bucket_min"] * 1.3))))


def fund(*, order: Order, actor: Any) -> None:
    """Open the escrow from the consumer's wallet. Repeating it changes nothing.

    Raises:
        OrderError: not the consumer's order.
        SettlementError: insufficient funds, with numbers.
    """
    if order.consumer_id != actor.pk:
        raise OrderError("not_yours", "Only who ordered the job can fund it.", status=403)
    settlement.open_escrow(
        job_id=order.job_id,
        consumer_account=order.consumer,
        rate=int(order.rate),
        budget=int(order.budget),
        expires=int(time.time()) + ESCROW_SECONDS,
    )


def stop(*, order: Order, actor: Any) -> None:
    """Stop after the running round; the rest of the budget is refunded once every visit is paid."""
    if order.consumer_id != actor.pk and not actor.is_staff:
        raise OrderError("not_yours", "Only who ordered the job can stop it.", status=403)
    who = "the consumer" if order.consumer_id == actor.pk else "the administrator"
    jobs.stop(job_id=order.job_id, actor=actor, reason=f"stopped by {who}")


def pause(*, order: Order, actor: Any, resume: bool = False) -> None:
    if order.consumer_id != actor.pk:
        raise OrderError("not_yours", "Only who ordered the job can pause it.", status=403)
    (jobs.resume if resume else jobs.pause)(job_id=order.job_id, actor=actor)


def report_metric(*, order: Order, actor: Any, checkpoint: int, name: str, value: float) -> Metric:
    """What the consumer measured for a checkpoint; shown on the live chart. The same again replaces it."""
    if order.consumer_id != actor.pk:
        raise OrderError("not_yours", "Only who ordered the job reports its metrics.", status=403)
    if not math.isfinite(value) or not 0 < len(name) <= 40:
        raise OrderError("bad_metric", "A metric has a name of at most 40 characters and a finite value.")
    if not collectives.checkpoints(order.job_id).filter(number=checkpoint).exists():
        raise OrderError("no_checkpoint", f"There is no checkpoint {checkpoint} of this job.", status=404)
    metric, _ = Metric.objects.update_or_create(
        order=order, checkpoint=checkpoint, name=name, defaults={"value": value}
    )
    jobs.announce_change(order.job_id)
    return metric


def advance_orders() -> None:
    """Carry every open order one step: escrow open → funded; job over → last settlement → refund → settled."""
    for found in Order.objects.filter(closed=False):
        try:
            _advance(found)
        except Exception as error:  # one order's trouble must not hold up the money of the others
            log.exception("order_stuck", job=str(found.job_id), error=type(error).__name__)


def _advance(found: Order) -> None:
    job = collectives.job(found.job_id)
    escrow = money.escrow_state(found.job_id)
    if job is None or escrow is None:
        return
    if job.status == S.VALIDATED and escrow.status == "open":
        if not money.new_jobs_blocked():
            jobs.mark_funded(found.job_id)
    elif job.status in ENDED and escrow.status == "open":
        settlement.close_job(found.job_id)
    elif job.status in ENDED and escrow.status == "closed":
        jobs.mark_settled(found.job_id)
        Order.objects.filter(pk=found.pk).update(closed=True)
