"""Order a job, fund it, stop it, report a metric; and carry orders on as money and job allow."""

from __future__ import annotations

import hashlib
import json
import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import override

from collectives import selectors as collectives
from collectives.errors import CollectiveError
from collectives.models import Algorithm, Checkpoint, Collective, Job
from collectives.models.jobs import ENDED
from collectives.selectors import Card
from collectives.services import jobs
from collectives.services.plan import JobPlan
from collectives.terms.algorithm import EVALUATION, model_hash, parse_manifest
from collectives.terms.description import tokens
from marketplace.accounts.models import Role
from marketplace.jobs import plateau as plateaus
from marketplace.jobs.errors import OrderError
from marketplace.jobs.models import Metric, Order
from marketplace.jobs.plateau import Plateau
from marketplace.jobs.stop_rule import StopRule
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
    plan: Mapping[str, Any] | JobPlan | None = None,
    request: str = "",
    judged: tuple[uuid.UUID, int] | None = None,
    idempotency_key: str = "",
    stop_rule: StopRule | None = None,
    plateau: Plateau | None = None,
) -> Order:
    """An order with its validated job, not yet funded. `budget` in base units.

    `plan` is a whole plan, or only what differs from `default_plan`. `request` says who orders and what for, where the owner
    approves orders. `stop_rule` ends the job by what the consumer reports. The same `idempotency_key` with the same order again gets the order that was placed the first time.

    `judged` is (job, number) of the checkpoint that an evaluation measures. `plateau` has the job's models judged by other wallets, each
    time by an order of its own, and stops it where they get no better.

    Raises:
        OrderError: with the numbers that are wrong; `idempotency_key_reused` where the key stands for another order.
    """
    if not consumer.has_role(Role.CONSUMER):
        raise OrderError(
            "not_a_consumer", _("Ordering needs the data consumer role; add it in your account."), status=403
        )
    chosen = plan.to_json() if isinstance(plan, JobPlan) else dict(plan or {})
    wanted = [asdict(rule) for rule in (stop_rule, plateau) if rule]
    digest = _digest(
        collective_id, manifest_hash, budget, max_rounds, chosen, request, *(judged or ()), *wanted
    )
    placed = _placed_before(consumer, idempotency_key, digest)
    if placed is not None:
        return placed
    card = collectives.card(collective_id)
    algorithm = Algorithm.objects.filter(manifest_hash=manifest_hash).first()
    if card is None or algorithm is None:
        raise OrderError("unknown", _("There is no such collective or algorithm."), status=404)
    _check_open(card.collective)
    _check_budget(card, budget)
    if plateau:
        _check_judge(card, algorithm, plateau)
    try:
        with transaction.atomic():
            job = jobs.create(
                actor=consumer,
                collective=card.collective,
                algorithm=algorithm,
                max_rounds=max_rounds,
                visits_budget=budget // card.rate,
                plan=planned(card, chosen),
                request=request,
                judged=_judged(consumer, judged),
            )
            return Order.objects.create(
                consumer=consumer,
                collective_id=collective_id,
                job_id=job.pk,
                budget=budget,
                rate=card.rate,
                idempotency_key=idempotency_key,
                request_digest=digest if idempotency_key else "",
                **_stop_columns(stop_rule),
                **(plateau.columns() if plateau else {}),
            )
    except CollectiveError as error:
        raise OrderError.because(error) from error
    except IntegrityError:
        # Another request with this key was faster; its order is the one.
        placed = _placed_before(consumer, idempotency_key, digest)
        if placed is None:
            raise
        return placed


def _stop_columns(rule: StopRule | None) -> dict[str, Any]:
    if rule is None:
        return {}
    if not 0 < len(rule.metric.strip()) <= 40 or not math.isfinite(rule.value):
        raise OrderError(
            "bad_stop_rule", _("A stop rule has a metric of at most 40 characters and a finite value.")
        )
    return {
        "stop_metric": rule.metric.strip(),
        "stop_value": rule.value,
        "stop_at_least": rule.at_least,
    }


def _check_judge(card: Card, algorithm: Algorithm, plateau: Plateau) -> None:
    """The evaluation must be announced here, and judge this algorithm's models."""
    judge = Algorithm.objects.filter(
        manifest_hash=plateau.evaluation,
        admissions__in=card.collective.admissions.exclude(status="withdrawn"),
    ).first()
    manifest = parse_manifest(judge.manifest) if judge else None
    fits = manifest is not None and manifest.output.kind == EVALUATION
    if not fits or model_hash(manifest) != model_hash(parse_manifest(algorithm.manifest)):
        raise OrderError(
            "bad_plateau", _("Name an evaluation of this algorithm's models that is announced here.")
        )


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _judged(consumer: Any, named: tuple[uuid.UUID, int] | None) -> Checkpoint | None:
    """The checkpoint an evaluation judges, of a job that the same consumer ordered."""
    if named is None:
        return None
    job_id, number = named
    found = Checkpoint.objects.select_related("job__algorithm").filter(job_id=job_id, number=number).first()
    if found is None or not Order.objects.filter(consumer=consumer, job_id=job_id).exists():
        raise OrderError("no_checkpoint", _("You have no job with such a checkpoint."), status=404)
    return found


def _placed_before(consumer: Any, key: str, digest: str) -> Order | None:
    if not key:
        return None
    found = Order.objects.filter(consumer=consumer, idempotency_key=key).first()
    if found is not None and found.request_digest != digest:
        raise OrderError(
            "idempotency_key_reused",
            _("This idempotency key stands for another order. Use a fresh key for a new order."),
            status=409,
        )
    return found


def _check_open(collective: Collective) -> None:
    if collective.status != Collective.Status.ACTIVE:
        raise OrderError(
            "suspended",
            _("This collective is suspended; nothing can be ordered or funded: %(why)s")
            % {"why": collective.status_reason},
            status=409,
        )


def _check_budget(card: Card, budget: int) -> None:
    blocked = money.new_jobs_blocked()
    if blocked:
        raise OrderError("blocked", _("No new jobs at the moment: %(why)s") % {"why": blocked}, status=409)
    terms = card.terms.document
    smallest = card.rate * terms["release_min"]
    if budget < smallest:
        raise OrderError(
            "budget_too_small",
            _(
                "The budget of %(budget)s %(token)s is below %(least)s: one round visits at least %(wallets)s wallets at %(rate)s "
                "each."
            )
            % {
                "budget": tokens(budget),
                "token": terms["token"],
                "least": tokens(smallest),
                "wallets": terms["release_min"],
                "rate": tokens(card.rate),
            },
        )


def planned(card: Card, changes: Mapping[str, Any]) -> JobPlan:
    """The default plan with what the consumer chose otherwise.

    Raises:
        CollectiveError: no such part, or a value that cannot be.
    """
    values = default_plan(card.collective, card.terms.document).to_json()
    unknown = sorted(set(changes) - set(values))
    if unknown:
        raise CollectiveError(
            "bad_plan",
            "A plan has no %(unknown)s; it has %(known)s.",
            unknown=", ".join(unknown),
            known=", ".join(values),
        )
    phases = values["phase_seconds"] | dict(changes.get("phase_seconds") or {})
    return JobPlan.from_json(values | dict(changes) | {"phase_seconds": phases})


def default_plan(collective: Collective, terms: dict[str, Any]) -> JobPlan:
    """A cohort a third above the minimum, so that dropouts do not stop a round.

    It follows from the terms alone: a plan that followed the subscribers would tell how many there are. With development minima, where a
    job starts with as few as one round needs, it is no larger than they allow.
    """
    cohort = math.ceil(terms["release_min"] * 1.3)
    if terms["development"]:
        subscribers = collective.subscriptions.filter(status="active").count()
        cohort = max(terms["release_min"], min(cohort, math.ceil(subscribers / 1.1) or cohort))
    # A bucket has room to lose a few wallets before it falls below the collective's smallest.
    return JobPlan(cohort=cohort, bucket_size=min(255, max(50, math.ceil(terms["bucket_min"] * 1.3))))


def fund(*, order: Order, actor: Any) -> None:
    """Open the escrow from the consumer's wallet. Repeating it changes nothing.

    Raises:
        OrderError: not the consumer's order, not approved by the owner where the terms ask for it, or `suspended`.
        SettlementError: insufficient funds, with numbers.
    """
    if order.consumer_id != actor.pk:
        raise OrderError("not_yours", _("Only who ordered the job can fund it."), status=403)
    job = collectives.job(order.job_id)
    if job is not None and job.status in (S.APPROVAL, S.RETURNED):
        waits = job.status == S.APPROVAL
        raise OrderError(
            "not_approved",
            _("The collective's owner has not approved this order yet.")
            if waits
            else _("The collective's owner returned this order: %(why)s") % {"why": job.reason},
            status=409,
        )
    if job is not None and job.status == S.VALIDATED:
        _check_open(job.collective)
    settlement.open_escrow(
        job_id=order.job_id,
        consumer_account=order.consumer,
        rate=int(order.rate),
        budget=int(order.budget),
        expires=int(time.time()) + ESCROW_SECONDS,
        collective_id=order.collective_id,
    )


def stop(*, order: Order, actor: Any) -> None:
    """Stop after the running round; the rest of the budget is refunded once every visit is paid."""
    if order.consumer_id != actor.pk and not actor.is_staff:
        raise OrderError("not_yours", _("Only who ordered the job can stop it."), status=403)
    who = "the consumer" if order.consumer_id == actor.pk else "the administrator"
    jobs.stop(job_id=order.job_id, actor=actor, reason=f"stopped by {who}")


def pause(*, order: Order, actor: Any, resume: bool = False) -> None:
    if order.consumer_id != actor.pk:
        raise OrderError("not_yours", _("Only who ordered the job can pause it."), status=403)
    (jobs.resume if resume else jobs.pause)(job_id=order.job_id, actor=actor)


def report_metric(*, order: Order, actor: Any, checkpoint: int, name: str, value: float) -> Metric:
    """What the consumer measured for a checkpoint; shown on the live chart. The same again replaces it.

    Where the order has a stop rule and this meets it, the job stops after the running round.
    """
    if order.consumer_id != actor.pk:
        raise OrderError("not_yours", _("Only who ordered the job reports its metrics."), status=403)
    if not math.isfinite(value) or not 0 < len(name) <= 40:
        raise OrderError("bad_metric", _("A metric has a name of at most 40 characters and a finite value."))
    if not collectives.checkpoints(order.job_id).filter(number=checkpoint).exists():
        raise OrderError(
            "no_checkpoint",
            _("There is no checkpoint %(number)s of this job.") % {"number": checkpoint},
            status=404,
        )
    metric, _new = Metric.objects.update_or_create(
        order=order, checkpoint=checkpoint, name=name, defaults={"value": value}
    )
    rule = order.stop_rule
    if rule is not None and rule.met_by(name, value):
        with override("en"):  # as every reason that a row keeps
            reason = f"as ordered: {rule}"
        jobs.stop(job_id=order.job_id, actor=actor, reason=reason)
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
    if job is not None and job.status == S.RETURNED:
        Order.objects.filter(pk=found.pk).update(closed=True)
        return
    if job is not None:
        plateaus.advance(found, job, place=order, fund=fund)
    escrow = money.escrow_status(found.job_id)
    if job is None or escrow is None:
        return
    if job.status == S.VALIDATED and escrow == "open":
        if not money.new_jobs_blocked():
            jobs.mark_funded(found.job_id)
    elif job.status in ENDED and escrow == "open":
        settlement.close_job(found.job_id)
    elif job.status in ENDED and escrow == "closed":
        jobs.mark_settled(found.job_id)
        Order.objects.filter(pk=found.pk).update(closed=True)
