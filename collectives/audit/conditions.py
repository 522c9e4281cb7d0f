"""Under which conditions an algorithm is attacked: how small its sums may be, and how much noise they carry.

An algorithm's manifest bounds the answer; terms and the round's header say the rest. Unless somebody asks for other conditions
these are the weakest that the platform allows: the smallest sums, and the noise floor.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from aggregation.privacy import budget
from aggregation.privacy.accounting import epsilon
from aggregation.privacy.mechanism import Mechanism, calibrated
from aggregation.privacy.noise import MICRO, floor_share_micro
from aggregation.privacy.rotation import padded
from collectives.terms.algorithm import Manifest, most_ratio, output_length, release_ratio
from collectives.terms.description import BUCKET_MIN_FLOOR, RELEASE_MIN_FLOOR

FRACTION_BITS, VALUE_BITS = 16, 24
DELTA = 1e-6
FORMAL_EPSILON, FORMAL_VISITS = 3.0, 5


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """`share_micro`: one wallet's noise; `clip_micro`: the clip of the round, both in millionths.

    `bucket_min`, `release_min`: wallets in the smallest sum that the operator, and that a consumer, may see.
    `epsilon`: what formal terms promise for `visits` visits at δ = 10⁻⁶, towards the operator; None for aggregate terms, which
    promise the noise floor and no ε.
    """

    clip_micro: int
    share_micro: int
    bucket_min: int = BUCKET_MIN_FLOOR
    release_min: int = RELEASE_MIN_FLOOR
    value_bits: int = VALUE_BITS
    fraction_bits: int = FRACTION_BITS
    rotation: bool = False
    epsilon: float | None = None
    visits: int = 1

    @property
    def clip(self) -> float:
        return self.clip_micro / MICRO

    def sigma(self, wallets: int) -> float:
        """σ of every coordinate of a sum over so many wallets."""
        return math.sqrt(wallets) * self.share_micro / MICRO

    def quiet(self) -> Conditions:
        """The same without noise: what a limit on noise has to hold back."""
        return replace(self, share_micro=0)

    def formal(self, manifest: Manifest) -> Conditions:
        """The same under formal terms: ε ≤ 3 for five visits, calibrated as a job's noise is."""
        each = budget.rho_micro(FORMAL_EPSILON) // FORMAL_VISITS - 1
        length = output_length(manifest)
        made: Mechanism = calibrated(
            math.sqrt(MICRO / (2 * each)),
            clip_micro=self.clip_micro,
            wallets=self.bucket_min,
            bucket_min=self.bucket_min,
            coordinates=padded(length) if self.rotation else length,
            fraction_bits=self.fraction_bits,
        )
        return replace(self, share_micro=made.share_micro, epsilon=FORMAL_EPSILON, visits=FORMAL_VISITS)

    def stated_epsilon(self, coordinates: int) -> float:
        """The accountant's ε for these numbers, towards the operator; math.inf without noise."""
        made = Mechanism(
            clip_micro=self.clip_micro,
            share_micro=self.share_micro,
            coordinates=coordinates,
            fraction_bits=self.fraction_bits,
        )
        return epsilon(made.multiplier(self.bucket_min), visits=self.visits, delta=DELTA)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def weakest(manifest: Manifest) -> Conditions:
    """The weakest conditions under which aggregate terms may run this algorithm: more wallets only where wallets insist on them."""
    clip = manifest.output.clip_micro
    return Conditions(
        clip_micro=clip,
        share_micro=floor_share_micro(clip, BUCKET_MIN_FLOOR),
        release_min=max(RELEASE_MIN_FLOOR, wallets_needed(manifest)),
    )


def wallets_needed(manifest: Manifest) -> int:
    """The smallest release that keeps to the release ratio."""
    return math.ceil(release_ratio(manifest, 1) / most_ratio(manifest))
