"""How large a run is, from two numbers and a scale; everything else follows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from collectives.services.plan import JobPlan
from marketplace.demo.plan import BUCKET_MIN, BUCKET_SIZE, MINIMUM_COHORT, SUBSCRIBERS_PER_COHORT, PlanError

WALLETS, VISITS = 100_000, 2_000_000
RATE = 5 * 10**15
LARGEST_COHORT = 2_000
"""What a round costs besides its visits is shared by so many; the pages and tables say which cohort they were measured with."""
SMALLEST_DEVELOPMENT = 10
PHASE_SECONDS = 900
"""A phase ends when everybody answered. On a busy machine a thousand wallets of two processes may take minutes for that."""
ENROL_SECONDS, ACCEPT_SECONDS = 4 * 3600, 600
SPARE_ROUNDS = 20


@dataclass(frozen=True, kw_only=True)
class Size:
    """`cohort` wallets a round; `development` when there are too few wallets for the safe minima, and then every page says so."""

    wallets: int
    visits: int
    cohort: int
    release_min: int
    bucket_min: int
    bucket_size: int
    development: bool

    @classmethod
    def of(
        cls,
        wallets: int,
        visits: int,
        scale: float = 1.0,
        *,
        cohort: int | None = None,
        development: bool = False,
    ) -> Size:
        """Raises:
        PlanError: too few wallets for a safe cohort and `development` was not asked for, or fewer visits than one cohort's.
        """
        wallets, visits = round(wallets * scale), round(visits * scale)
        least = _development_minimum(wallets) if development else MINIMUM_COHORT
        needed = least if development else least * SUBSCRIBERS_PER_COHORT
        if wallets < needed:
            raise PlanError(
                f"{wallets} wallets are too few: {needed} are needed for sums of at least {least}. For fewer, add "
                "--development: minima are lowered then, and every page and the report say so."
            )
        chosen = cohort or min(LARGEST_COHORT, max(least, wallets // SUBSCRIBERS_PER_COHORT))
        if not least <= chosen <= wallets:
            raise PlanError(f"A cohort must have {least} to {wallets} wallets.")
        if visits < chosen:
            raise PlanError(f"{visits} visits do not pay one cohort of {chosen}.")
        return cls(
            wallets=wallets,
            visits=visits,
            cohort=chosen,
            release_min=least,
            bucket_min=min(BUCKET_MIN, least),
            bucket_size=BUCKET_SIZE if chosen > BUCKET_SIZE else max(chosen, least),
            development=development,
        )

    @property
    def budget(self) -> int:
        """Base units: exactly the visits, at the rate."""
        return self.visits * RATE

    @property
    def rounds(self) -> int:
        """At most so many: those the budget pays, and some for rounds that are abandoned."""
        return math.ceil(self.visits / self.cohort) + SPARE_ROUNDS

    def plan(self) -> JobPlan:
        """Nobody is invited above the cohort: these wallets stay, and the budget comes out even."""
        phases = dict.fromkeys(
            ("advertise", "share_keys", "masked_input", "consistency", "unmask"), PHASE_SECONDS
        )
        return JobPlan(
            cohort=self.cohort,
            decay=False,
            bucket_size=self.bucket_size,
            over_selection_ppm=1_000_000,
            accept_seconds=ACCEPT_SECONDS,
            enrol_seconds=ENROL_SECONDS,
            phase_seconds=phases,
        )


def _development_minimum(wallets: int) -> int:
    return max(SMALLEST_DEVELOPMENT, min(MINIMUM_COHORT, wallets // SUBSCRIBERS_PER_COHORT))
