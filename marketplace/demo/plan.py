"""One rule for how a demo trains, from the number of wallets alone; nothing is tuned on anybody's test split.

The server's rate, and that it falls over the second half of the rounds, were chosen on a quarter of the training wallets of five data
sets, kept out for that; figures stand in docs/learning.md and `tests/benchmarks/learning_sim.py` repeats them.

Cohorts are as large as the number of subscribers allows (a job needs three times its minimum cohort), because noise and
sampling error fall with the cohort. With twenty rounds a rate that falls from the first one stops too early, and one that never
falls leaves the last model where the last cohort happened to push it.
"""

from __future__ import annotations

from dataclasses import dataclass

MINIMUM_COHORT = 100
"""release_min: fewer wallets than this are never summed for a consumer, outside a labelled development cohort."""
SUBSCRIBERS_PER_COHORT = 3
BUCKET_SIZE = 50
BUCKET_MIN = 38
DEVELOPMENT_BUCKET_MIN = 5
ROUNDS = 20
SMALLEST_COHORT, LARGEST_COHORT = 115, 200
"""The smallest leaves room for 15 dropouts above the minimum; over-selection adds a tenth. The largest: 300 wallets a round
(half as many visits again to pay and to wait for) gain 0.003 AUC at most on records kept out of training (docs/learning.md)."""


class PlanError(ValueError):
    """The demo cannot run as asked; the sentence says what to change."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a demo's job trains. `cohort` wallets are aimed at per round; below `release_min` nothing is released."""

    cohort: int
    rounds: int
    release_min: int
    bucket_min: int
    bucket_size: int
    learning_rate_micro: int = 250_000
    optimiser: str = "adam"
    decay_after_ppm: int = 500_000
    fraction_bits: int = 16
    value_bits: int = 24
    development: bool = False


def default_plan(wallets: int, *, rounds: int | None = None, development_cohort: int | None = None) -> Plan:
    """The plan for a number of wallets.

    Args:
        development_cohort: run with this cohort although it is below the minimum; the report then says so.

    Raises:
        PlanError: too few wallets for the minimum cohort, or a development cohort that makes no sense.
    """
    rounds = ROUNDS if rounds is None else rounds
    if rounds < 1:
        raise PlanError("A job needs at least one round.")
    if development_cohort is not None:
        return _development(wallets, rounds, development_cohort)
    needed = MINIMUM_COHORT * SUBSCRIBERS_PER_COHORT
    if wallets < needed:
        raise PlanError(
            f"{wallets} wallets are too few: a job needs {needed} subscribers, {SUBSCRIBERS_PER_COHORT} times the minimum cohort of "
            f"{MINIMUM_COHORT}. To try it all the same with a cohort that is labelled as unsafe, add --development-cohort {max(10, wallets // 3)}."
        )
    cohort = min(LARGEST_COHORT, max(SMALLEST_COHORT, wallets // 5))
    return Plan(
        cohort=cohort,
        rounds=rounds,
        release_min=MINIMUM_COHORT,
        bucket_min=BUCKET_MIN if cohort >= 2 * BUCKET_SIZE else DEVELOPMENT_BUCKET_MIN,
        bucket_size=BUCKET_SIZE,
    )


def _development(wallets: int, rounds: int, cohort: int) -> Plan:
    if cohort < 8:
        raise PlanError("A development cohort needs at least 8 wallets.")
    if cohort > wallets:
        raise PlanError(f"A cohort of {cohort} cannot be drawn from {wallets} wallets.")
    least = max(5, (2 * cohort) // 3)
    return Plan(
        cohort=cohort,
        rounds=rounds,
        release_min=least,
        bucket_min=min(BUCKET_MIN, least),
        bucket_size=min(BUCKET_SIZE, max(cohort + cohort // 5, least + 1)),
        development=True,
    )
