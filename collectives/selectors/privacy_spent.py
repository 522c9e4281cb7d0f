"""How much of a job's privacy budget is spent, for the bar on its page: by the rule that wallets keep their own ledger by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from aggregation.privacy import budget
from aggregation.privacy.mechanism import Mechanism
from collectives.models import Job
from collectives.services.plan import JobPlan
from collectives.services.privacy import FORMAL_EPSILON, command_of, mechanism_of, visits_planned
from collectives.terms.algorithm import parse_manifest


@dataclass(frozen=True, kw_only=True)
class Spent:
    """ε at δ = 10⁻⁶ for the wallet that was visited most: towards the operator of the aggregator, and towards the buyer and the chain;
    `command` computes both again."""

    epsilon: float
    consumer: float
    most: float
    visits: int
    command: str

    @property
    def percent(self) -> int:
        """Whole per cent, rounded up: a bar must not look emptier than it is."""
        return min(100, math.ceil(100 * self.epsilon / self.most))


def privacy_spent(job: Job, terms: dict[str, Any], rounds_held: int) -> Spent | None:
    """What so many held rounds cost the wallet visited most; None where the terms claim no epsilon."""
    if terms["privacy_level"] != "formal":
        return None
    manifest, visits = parse_manifest(job.algorithm.manifest), visits_held(job, rounds_held)
    operator, consumer = epsilons(mechanism_of(job, manifest, terms), terms, visits)
    return Spent(
        epsilon=operator,
        consumer=consumer,
        most=FORMAL_EPSILON,
        visits=visits,
        command=command_of(job, terms, visits),
    )


def epsilons(mechanism: Mechanism, terms: dict[str, Any], visits: int) -> tuple[float, float]:
    """What so many visits cost: towards the operator, who sees buckets, and towards the consumer."""
    each, released = (mechanism.cost_micro(terms[name]) for name in ("bucket_min", "release_min"))
    assert each is not None and released is not None  # formal terms have noise
    return budget.epsilon(visits * each), budget.epsilon(visits * released)


def visits_held(job: Job, rounds: int) -> int:
    """How often one wallet was visited at most in so many rounds: cohorts are drawn least visited first."""
    plan = JobPlan.from_json(job.plan)
    if plan.poisson:
        return min(rounds, visits_planned(job))
    if not job.enrolled:
        return rounds
    return min(rounds, math.ceil(rounds * plan.invited() / job.enrolled))
