"""What a job promises about privacy: how much noise each of its wallets adds, and the two epsilons in one line.

*Aggregate* terms promise the noise floor and claim nothing. *Formal* terms promise ε ≤ 3 a year of every subscription, towards
the most curious reader there is, the operator who sees bucket sums and knows who was visited. The job's noise is calibrated so
that all the visits it plans fit into that; wallets keep their own ledger and refuse what would exceed it, whatever is said here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db.models import Sum
from numpy.typing import NDArray

from aggregation.privacy import adaptive, budget, rotation
from aggregation.privacy.mechanism import Mechanism, calibrated
from collectives.models import Job
from collectives.services.plan import JobPlan
from collectives.terms.algorithm import Manifest, output_length, parse_manifest

if TYPE_CHECKING:
    from aggregation.privacy.accounting import Coins, Statement

FORMAL_EPSILON, DELTA = 3.0, 1e-6
LEAST_CLIP = 1e-3
"""An adaptive bound never falls below this share of the algorithm's."""
Floats = NDArray[np.float64]


def visits_planned(job: Job) -> int:
    """How often one wallet is visited at most when every round is held: cohorts are drawn least visited first.

    Where coins decide there is no such number; then it is one that a wallet hardly ever exceeds (three standard deviations), and one
    that is drawn more often says no by its own ledger.
    """
    plan, rounds = JobPlan.from_json(job.plan), int(job.max_rounds)
    if not job.enrolled:
        return rounds
    if plan.poisson:
        often = rounds * plan.coin_ppm(job.enrolled) / 1e6
        return min(rounds, math.ceil(often + 3 * math.sqrt(often)) + 1)
    return min(rounds, math.ceil(rounds * plan.invited() / job.enrolled) + 1)


def exhausted(job: Job, terms: dict[str, Any]) -> bool:
    """Whether the wallets' own ledgers have no room for one more smallest round of a formal job.

    Its noise is calibrated to so many visits of each enrolled wallet. Rounds that came to nothing after they were delivered count too.
    """
    if terms["privacy_level"] != "formal" or not job.enrolled:
        return False
    used = job.rounds.aggregate(visits=Sum("delivered"))["visits"] or 0
    return bool(used + terms["release_min"] > job.enrolled * visits_planned(job))


def mechanism_of(job: Job, manifest: Manifest, terms: dict[str, Any], clip: int | None = None) -> Mechanism:
    """The noise of this job's next round, or of one with another `clip` bound (millionths). Its size against the bound is the same in
    every round, because what that follows from is fixed by then; the bound itself moves where the plan lets it.

    Raises:
        ValueError: no noise of this plan's fraction bits is enough.
    """
    plan, clip = JobPlan.from_json(job.plan), clip or clip_of(job, manifest)
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
    length = answer_length(manifest, plan)
    return rotation.padded(length) if plan.rotated else length


def answer_length(manifest: Manifest, plan: JobPlan) -> int:
    """Coordinates of a wallet's answer: the algorithm's, and the mark of an adaptive clip."""
    return output_length(manifest) + (plan.clip_quantile_ppm > 0)


def clip_of(job: Job, manifest: Manifest) -> int:
    """The clip bound of the job's next round, in millionths: the algorithm's, or what its last round made of it."""
    latest = job.checkpoints.last()
    return latest.clip_micro if latest is not None and latest.clip_micro else manifest.output.clip_micro


def next_clip(job: Job, manifest: Manifest, mean: Floats) -> tuple[Floats, int]:
    """(the mean update [d], the next round's bound in millionths) of a released mean [d + 1] with the wallets' marks as its last."""
    share = JobPlan.from_json(job.plan).clip_quantile_ppm / 1e6
    most = adaptive.inner_bound(manifest.output.clip_micro / budget.MICRO, adaptive.Rule())
    rule = adaptive.Rule(target=share, most=most, least=most * LEAST_CLIP)
    update, bound, _ = adaptive.next_bound(
        adaptive.inner_bound(clip_of(job, manifest) / budget.MICRO, rule), mean, rule
    )
    whole = math.floor(bound * rule.sensitivity_factor * budget.MICRO)
    return update, min(manifest.output.clip_micro, max(1, whole))


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
        coins=_coins(job, terms),
    )


def _coins(job: Job, terms: dict[str, Any]) -> Coins | None:
    from aggregation.privacy.accounting import Coins

    plan = JobPlan.from_json(job.plan)
    if not plan.poisson or not job.enrolled:
        return None
    return Coins(
        probability=plan.coin_ppm(job.enrolled) / 1e6, rounds=int(job.max_rounds), least=terms["release_min"]
    )


def command_of(job: Job, terms: dict[str, Any], held: int | None = None) -> str:
    """The command that computes `statement_of` again from its numbers, and what `held` visits cost; "" where nothing is claimed."""
    if terms["privacy_level"] != "formal":
        return ""
    mechanism = mechanism_of(job, parse_manifest(job.algorithm.manifest), terms)
    plan = JobPlan.from_json(job.plan)
    numbers: dict[str, int | None] = {
        "clip-micro": mechanism.clip_micro,
        "share-micro": mechanism.share_micro,
        "coordinates": mechanism.coordinates,
        "fraction-bits": mechanism.fraction_bits,
        "bucket-min": terms["bucket_min"],
        "release-min": terms["release_min"],
        "visits": visits_planned(job),
    }
    if plan.poisson and job.enrolled:
        numbers |= {"coin-ppm": plan.coin_ppm(job.enrolled), "rounds": int(job.max_rounds)}
    numbers["held"] = held
    options = (f"--{name} {number}" for name, number in numbers.items() if number is not None)
    return " ".join(("python -m aggregation.privacy", *options))


def promise(job: Job, terms: dict[str, Any]) -> str:
    """One sentence for a page, a card or a report."""
    found = statement_of(job, terms)
    return found.words() if found else "Noise is added to every sum; no epsilon is claimed."
