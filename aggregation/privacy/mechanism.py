"""The distributed discrete Gaussian: how far one wallet can move a sum, and what noise each adds so that the sum is private.

Every wallet clips to `clip`, rounds to units of 2^−f and adds a discrete Gaussian share; sums are taken in a ring that no sum
wraps around. For a sum of n honest wallets (Kairouz, Liu, Steinke 2021, "The Distributed Discrete Gaussian Mechanism",
arXiv 2102.06387, theorem 1):

    ½(Δ/(√n·s) + τ·√d')²-concentrated differential privacy,  τ = 10·Σ_{k<n} exp(−2π²·s²·k/(k+1)), s in units

Δ is the sensitivity *after* rounding: rounding moves every coordinate by less than a unit, so Δ ≤ clip + √d'·2^−f, whatever the
dice. We calibrate to that bound instead of rounding again until a tighter one holds: 16 fraction bits make the difference
invisible (0.2 % of a clip of 1 at 12,000 coordinates), and no answer depends on how often somebody had to roll.

n is the smallest number of wallets that may be in a sum its reader gets: `bucket_min` for the operator of the aggregator,
`release_min` for the consumer. Wallets that lie about their noise do not count, which no server can check: a statement holds for
n honest wallets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from aggregation.privacy.noise import MICRO, floor_share_micro, largest_units

MOST_MICRO = 10**12


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """What every wallet of a round does, as its header says it.

    `clip_micro`, `share_micro`: clip bound and one wallet's σ in millionths. `coordinates`: d', after padding.
    `fraction_bits` f: a unit is 2^−f.
    """

    clip_micro: int
    share_micro: int
    coordinates: int
    fraction_bits: int

    @property
    def sensitivity(self) -> float:
        """Δ: the furthest, in L2, one wallet's rounded update is from nothing."""
        return self.clip_micro / MICRO + math.sqrt(self.coordinates) / (1 << self.fraction_bits)

    def multiplier(self, wallets: int) -> float:
        """z = σ/Δ of a sum of so many honest wallets, lessened by what separates it from one discrete Gaussian; 0 without noise."""
        share = self.share_micro / MICRO
        if wallets < 1 or share == 0:
            return 0.0
        apart = excess(share * (1 << self.fraction_bits), wallets) * math.sqrt(self.coordinates)
        return 1.0 / (self.sensitivity / (math.sqrt(wallets) * share) + apart)

    def cost_micro(self, wallets: int) -> int | None:
        """ρ of one visit in millionths, rounded up: 1/(2z²), zero-concentrated (Bun and Steinke 2016). None without noise."""
        z = self.multiplier(wallets)
        return math.ceil(MICRO / (2 * z * z)) if z > 0 else None

    def never_clamped(self, value_bits: int) -> bool:
        """Whether clip, rounding and the furthest noise fit q bits. A value that were clamped would lose part of its noise."""
        unit = 1 << self.fraction_bits
        most = (
            math.floor(self.clip_micro / MICRO * unit)
            + 1
            + largest_units(self.share_micro, self.fraction_bits)
        )
        return most <= (1 << (value_bits - 1)) - 1


def excess(share_units: float, wallets: int) -> float:
    """τ: how far a sum of discrete Gaussians of σ = share_units is from one; 10^−40 at three units, nothing at a hundred."""
    base = -2 * math.pi**2 * share_units**2
    first = 10 * sum(math.exp(base * k / (k + 1)) for k in range(1, min(wallets, 65)))
    # Terms fall with k; beyond the 64th each is at most as large as the 64th.
    return first + 10 * max(0, wallets - 65) * math.exp(base * 64 / 65)


def calibrated(
    multiplier: float,
    *,
    clip_micro: int,
    wallets: int,
    coordinates: int,
    fraction_bits: int,
    bucket_min: int = 1,
) -> Mechanism:
    """The least noise with which a sum of `wallets` has at least this multiplier, and never less than the floor of a bucket.

    Args:
        wallets: the smallest cohort that is accepted.
        bucket_min: the smallest sum anybody sees; the floor of a tenth of the clip bound is kept there too.

    Raises:
        ValueError: no noise within the header's limits is enough.
    """
    if not multiplier > 0 or wallets < 1:
        raise ValueError("a calibration needs a positive multiplier and at least one wallet")

    def made(share: int) -> Mechanism:
        return Mechanism(
            clip_micro=clip_micro, share_micro=share, coordinates=coordinates, fraction_bits=fraction_bits
        )

    low, high = 0, 1
    while made(high).multiplier(wallets) < multiplier:
        low, high = high, high * 2
        if low > MOST_MICRO:
            raise ValueError("no noise gives this multiplier with so few fraction bits; use more of them")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if made(middle).multiplier(wallets) < multiplier else (low, middle)
    return made(max(high, floor_share_micro(clip_micro, bucket_min) if bucket_min > 1 else 0))
