"""A job that stops where it gets no better: other wallets judge its model now and then, and the plateau rule decides.

Every evaluation is an order of its own, placed and funded for the same consumer at the collective's rate: a job of one round over
wallets drawn anew, whose answers are clipped, noised and summed like any others. What they say of the loss goes into the rule of
`collectives.training.plateau`. The training goes on meanwhile; rounds that were held are owed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from collectives import selectors as collectives
from collectives.errors import CollectiveError
from collectives.models import Checkpoint, Job
from collectives.models.jobs import ENDED
from collectives.services import jobs
from collectives.services.plan import JobPlan
from collectives.terms.algorithm import parse_manifest
from collectives.training import outcome, plateau
from collectives.training.update import ServerState
from marketplace.jobs.errors import OrderError
from marketplace.jobs.models import Order
from marketplace.settlement.errors import SettlementError

log = structlog.get_logger(__name__)
S = Job.Status
OVER = ENDED | {S.SETTLED, S.RETURNED}
MOST_EVERY, MOST_WINDOW = 1000, 20
TRAINING_ONLY = {"clip_quantile_ppm": 0, "decay": True, "decay_after_ppm": 0}


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """`evaluation`: manifest hash of the algorithm that judges, `every`: after so many rounds, `window`: evaluations that are averaged."""

    evaluation: str
    every: int = 5
    window: int = 3

    @classmethod
    def of(cls, order: Order) -> Plateau | None:
        """As it was ordered; None where it was not."""
        if not order.judge_hash:
            return None
        return cls(evaluation=order.judge_hash, every=order.judge_every, window=order.judge_window)

    def columns(self) -> dict[str, Any]:
        """Of the order's row.

        Raises:
            OrderError: numbers that make no rule.
        """
        if not (1 <= self.every <= MOST_EVERY and 1 <= self.window <= MOST_WINDOW):
            raise OrderError(
                "bad_plateau", "A plateau is looked for after 1 to 1000 rounds, over 1 to 20 evaluations."
            )
        return {"judge_hash": self.evaluation, "judge_every": self.every, "judge_window": self.window}


def advance(order: Order, job: Job, *, place: Callable[..., Order], fund: Callable[..., None]) -> None:
    """Let the newest model that is due be judged, and stop the job once its evaluations improve no more."""
    if not order.judge_hash or job.status not in (S.RUNNING, S.PAUSED):
        return
    found = [evaluation for _number, evaluation in heard(order)]
    if plateau.reached(found, plateau.Rule(window=order.judge_window)):
        last = found[-1]
        reason = f"no better for {order.judge_window} evaluations by other wallets: a loss of {last.loss:.4f} ± {last.error:.4f}"
        jobs.stop(job_id=order.job_id, actor=order.consumer, reason=reason)
        return
    try:
        _judge(order, job, place, fund)
    except (OrderError, SettlementError, CollectiveError) as error:
        log.warning("not_judged", job=str(order.job_id), code=error.code)


def _judge(order: Order, job: Job, place: Callable[..., Order], fund: Callable[..., None]) -> None:
    """One evaluation at a time: fund the one that waits for it, or place the next."""
    waiting = [(one, collectives.job(one.job_id)) for one in order.evaluations.filter(closed=False)]
    for one, its in waiting:
        if its is not None and its.status == S.VALIDATED:
            fund(order=one, actor=order.consumer)
    if any(its is not None and its.status not in OVER for _, its in waiting):
        return
    posted = list(job.rounds.filter(status="posted").order_by("number").values_list("number", flat=True))
    due = posted[order.judge_every - 1 :: order.judge_every]
    judged = order.evaluations.order_by("-judged_number").values_list("judged_number", flat=True).first() or 0
    if not due or due[-1] <= judged:
        return
    plan = JobPlan.from_json(job.plan | TRAINING_ONLY)
    made = place(
        consumer=order.consumer,
        collective_id=order.collective_id,
        manifest_hash=order.judge_hash,
        budget=int(order.rate) * plan.invited(),
        max_rounds=1,
        plan=plan,
        request=job.request,
        judged=(order.job_id, due[-1]),
        idempotency_key=f"plateau:{order.job_id}:{due[-1]}",
    )
    Order.objects.filter(pk=made.pk).update(judges=order, judged_number=due[-1])


def heard(order: Order) -> list[tuple[int, plateau.Evaluation]]:
    """(number of the checkpoint, what wallets said of it) so far, in the order of the models they judged."""
    numbers = dict(order.evaluations.order_by("judged_number").values_list("job_id", "judged_number"))
    made = Checkpoint.objects.filter(job_id__in=numbers, number__gt=0).select_related("job__algorithm")
    last = {row.job_id: row for row in made.order_by("number")}
    return [(number, _said(last[job])) for job, number in numbers.items() if job in last]


def _said(judged: Checkpoint) -> plateau.Evaluation:
    state = ServerState.from_bytes(bytes(judged.weights), bytes(judged.moments))
    return outcome.judged(parse_manifest(judged.job.algorithm.manifest), state)
