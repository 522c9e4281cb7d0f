"""How a job trains: validated once when the job is made, then kept with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aggregation.privacy.noise import floor_share_micro
from collectives.errors import CollectiveError
from collectives.training.update import OPTIMISERS

PHASE_SECONDS = {"advertise": 60, "share_keys": 30, "masked_input": 30, "consistency": 30, "unmask": 30}
RING_BITS = 32
LEAST_QUANTILE, MOST_QUANTILE = 100_000, 990_000
RULES = ("sum", "filter", "norm", "cosine", "median", "trimmed")
"""How the aggregator may put bucket sums together (docs/tampering.md)."""


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """`cohort` wallets are aimed at; `over_selection_ppm` more are invited. Micro values are millionths.

    `value_bits` q and `fraction_bits` f are the quantiser's; `bucket_size` wallets share one sum at the aggregator. `rotated`: an update
    is spread over all coordinates before it is rounded, so that fewer bits do. `rule`: what becomes
    of bucket sums that stand out; under formal terms they are always summed.

    `decay`: the rate falls along half a cosine to a tenth, once this share of the rounds, `decay_after_ppm`, is over.

    `clip_quantile_ppm`: 0 keeps the algorithm's clip bound; otherwise the bound follows the norm that this share of wallets stays
    below, and never exceeds the algorithm's (ADR 79). `poisson`: every connected wallet is invited by a coin of its own, instead of least
    visited first, so that who was visited says less (ADR 80).
    """

    cohort: int
    learning_rate_micro: int = 200_000
    optimiser: str = "adam"
    decay: bool = True
    decay_after_ppm: int = 0
    value_bits: int = 24
    fraction_bits: int = 16
    bucket_size: int = 50
    rotated: bool = False
    clip_quantile_ppm: int = 0
    poisson: bool = False
    rule: str = "filter"
    over_selection_ppm: int = 1_100_000
    accept_seconds: int = 10
    enrol_seconds: int = 20
    phase_seconds: Mapping[str, int] = field(default_factory=lambda: dict(PHASE_SECONDS))

    def __post_init__(self) -> None:
        rules = {
            "cohort": (2 <= self.cohort <= 100_000, "must be 2 to 100,000 wallets"),
            "learning_rate_micro": (
                0 < self.learning_rate_micro <= 10_000_000,
                "must be above 0 and at most 10",
            ),
            "decay_after_ppm": (0 <= self.decay_after_ppm <= 1_000_000, "must be 0 to 1,000,000"),
            "optimiser": (self.optimiser in OPTIMISERS, f"must be one of {', '.join(OPTIMISERS)}"),
            "rule": (self.rule in RULES, f"must be one of {', '.join(RULES)}"),
            "clip_quantile_ppm": (
                self.clip_quantile_ppm == 0 or LEAST_QUANTILE <= self.clip_quantile_ppm <= MOST_QUANTILE,
                f"must be 0, or {LEAST_QUANTILE:,} to {MOST_QUANTILE:,}",
            ),
            "bucket_size": (2 <= self.bucket_size <= 255, "must be 2 to 255"),
            "value_bits": (
                self.value_bits >= 2 and self.value_bits + 8 <= RING_BITS,
                "must leave eight bits of the ring for the sum of a bucket",
            ),
            "fraction_bits": (0 <= self.fraction_bits < self.value_bits, "must be below value_bits"),
            "over_selection_ppm": (
                1_000_000 <= self.over_selection_ppm <= 3_000_000,
                "must be 1 to 3 times the cohort",
            ),
            "accept_seconds": (1 <= self.accept_seconds <= 3600, "must be 1 to 3600"),
            "enrol_seconds": (1 <= self.enrol_seconds <= 7 * 86400, "must be a second to a week"),
            "phase_seconds": (
                set(self.phase_seconds) == set(PHASE_SECONDS)
                and all(1 <= seconds <= 86400 for seconds in self.phase_seconds.values()),
                f"must name {', '.join(PHASE_SECONDS)}, a second to a day each",
            ),
        }
        for name, (good, sentence) in rules.items():
            if not good:
                raise CollectiveError("bad_plan", "%(name)s %(rule)s.", name=name, rule=sentence)

    def invited(self) -> int:
        """Wallets delivered to at most, per round."""
        sought = self.sought()
        # Coins have no exact number: six standard deviations above the expected one nearly never come.
        return sought + math.ceil(6 * math.sqrt(sought)) if self.poisson else sought

    def sought(self) -> int:
        """Wallets that are looked for, per round: the cohort, and some more who may not finish."""
        return -(-self.cohort * self.over_selection_ppm // 1_000_000)

    def coin_ppm(self, enrolled: int) -> int:
        """How likely a wallet's coin invites it, in millionths; 0 where wallets are invited in turn."""
        return min(1_000_000, -(-self.sought() * 1_000_000 // max(1, enrolled))) if self.poisson else 0

    def full_rounds(self, rounds: int) -> int:
        """Of so many, those before the rate falls."""
        return rounds * self.decay_after_ppm // 1_000_000

    def noise_micro(self, clip_micro: int, bucket_min: int) -> int:
        """One wallet's share of the noise floor."""
        return floor_share_micro(clip_micro, bucket_min)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> JobPlan:
        return cls(**stored)
