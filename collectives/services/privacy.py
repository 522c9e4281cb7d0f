"""What a job promises about privacy: how much noise each of its wallets adds, and the two epsilons in one line.

*Aggregate* terms promise the noise floor and claim nothing. *Formal* terms promise ε ≤ 3 a year of every subscription, towards
the most curious reader there is, the operator who sees bucket sums and knows who was visited. The job's noise is calibrated so
that all the visits it plans fit into that; wallets keep their own ledger and refuse what would exceed it, whatever is said here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from aggregation.privacy import budget, rotation
from aggregation.privacy.mechanism import Mechanism, calibrated
from collectives.models import Job
from collectives.services.plan import JobPlan
from collectives.terms.algorithm import Manifest, output_length, parse_manifest

if TYPE_CHECKING:
    from aggregation.privacy.accounting import Statement

FORMAL_EPSILON, DELTA = 3.0, 1e-6


def visits_planned(job: Job) -> int:
    """How often one wallet is visited at most when every round is held: cohorts are drawn least visited first."""
    plan = JobPlan.from_json(job.plan)
    if not job.enrolled:
        return int(job.max_rounds)
    return min(int(job.max_rounds), math.ceil(job.max_rounds * plan.invited() / job.enrolled) + 1)


def mechanism_of(job: Job, manifest: Manifest, terms: dict[str, Any]) -> Mechanism:
    """The noise of this job's rounds; the same answer in every round, because what it follows from is fixed by then.

    Raises:
        ValueError: no noise of this plan's fraction bits is enough.
    """
    plan, clip = JobPlan.from_json(job.plan), manifest.output.clip_micro
    d = sent_length(manifest, plan)
    floor = Mechanism(
        clip_micro=clip,
        share_micro=plan.noise_micro(clip, terms["bucket_min"]),
        coordinates=d,
        fraction_bits=plan.fraction_bits,
    )
    if terms["privacy_level"] != "formal":
        return floor
    # A wallet rounds the cost of each visit up to a millionth.
    each = budget.rho_micro(FORMAL_EPSILON) // visits_planned(job) - 1
    return calibrated(
        math.sqrt(budget.MICRO / (2 * each)),
        clip_micro=clip,
        wallets=terms["bucket_min"],
        bucket_min=terms["bucket_min"],
        coordinates=d,
        fraction_bits=plan.fraction_bits,
    )


def sent_length(manifest: Manifest, plan: JobPlan) -> int:
    """Coordinates of a wallet's answer on the wire, and of a round's sum."""
    length = output_length(manifest)
    return rotation.padded(length) if plan.rotated else length


def rule_of(job: Job, terms: dict[str, Any]) -> str:
    """How the aggregator puts this job's bucket sums together.

    Which buckets a robust rule keeps depends on their sums, so what it releases is as private as one bucket, not as a sum of many. Formal
    terms promise the consumer's epsilon for whole sums, and get whole sums.
    """
    return "sum" if terms["privacy_level"] == "formal" else JobPlan.from_json(job.plan).rule


def statement_of(job: Job, terms: dict[str, Any]) -> Statement | None:
    """Both epsilons of a formal job at δ = 10⁻⁶; None for an aggregate one, which claims nothing."""
    if terms["privacy_level"] != "formal":
        return None
    from aggregation.privacy.accounting import state  # brings SciPy along: only where a formal job is shown

    mechanism = mechanism_of(job, parse_manifest(job.algorithm.manifest), terms)
    return state(
        mechanism,
        release_min=terms["release_min"],
        bucket_min=terms["bucket_min"],
        visits=visits_planned(job),
        delta=DELTA,
    )


def promise(job: Job, terms: dict[str, Any]) -> str:
    """One sentence for a page, a card or a report."""
    found = statement_of(job, terms)
    return found.words() if found else "Noise is added to every sum; no epsilon is claimed."
