"""Discrete Gaussian noise from a table of 64-bit thresholds (Canonne, Kamath, Steinke 2020, arXiv 2004.00010, definition 1).

P(k) ∝ exp(−k² / 2σ²) over the integers. Sampling by table: a private 64-bit word u selects the smallest k whose threshold
exceeds u. Thresholds are computed in 60-digit decimals, so two implementations with the same σ have the same table. The
table ends where the tail is below 2⁻⁶⁴, that is at about 9.4 σ.

The noise floor: a wallet cannot know how many others will be in a sum, so each adds the share that makes the smallest allowed
bucket carry the promised σ: share = σ / √bucket_min.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy.stream import Rng, words64

MICRO = 1_000_000
FLOOR_PER_CLIP = 0.1
"""σ of every bucket sum is at least a tenth of the clip bound."""
_TAIL = 9.6
_BLOCK = 1 << 16
"""Words looked up at a time, so that they stay in a processor's cache."""
LARGEST_REACH = 1 << 21
"""Entries on each side of a table. Honest rounds have thousands, a clip of 100 at 16 fraction bits a million; a header that asks for more would keep a wallet busy for ever."""


def floor_share_micro(clip_micro: int, bucket_min: int) -> int:
    """One wallet's σ in millionths so that bucket_min of them sum to σ ≥ 0.1 × clip. Rounded up."""
    return math.ceil(FLOOR_PER_CLIP * clip_micro / math.sqrt(bucket_min))


@lru_cache(maxsize=16)
def thresholds(sigma_micro: int, fraction_bits: int) -> tuple[int, NDArray[np.uint64]]:
    """(smallest k, uint64 thresholds) for σ = sigma_micro/10⁶ in units of 2^−fraction_bits.

    Entry i belongs to k = smallest + i and holds floor(2⁶⁴ · P(K ≤ k)); the last entry is left out, it would be 2⁶⁴.

    Raises:
        ValueError: the table would be longer than 2 · LARGEST_REACH.
    """
    with localcontext() as context:
        context.prec = 60
        sigma = Decimal(sigma_micro) * (1 << fraction_bits) / MICRO
        reach = _reach(sigma_micro, fraction_bits)
        if reach > LARGEST_REACH:
            raise ValueError("noise of so many units has no table; use fewer fraction bits or a smaller clip")
        # exp(-k²/2σ²) by the recurrence w(k+1) = w(k)·r^(2k+1), r = exp(-1/2σ²): one exponential instead of thousands.
        ratio = (Decimal(-1) / (2 * sigma * sigma)).exp()
        weight, step, square = Decimal(1), ratio, ratio * ratio
        half = [weight]
        for _ in range(reach):
            weight *= step
            step *= square
            half.append(weight)
        total = 2 * sum(half) - half[0]
        running, table = Decimal(0), []
        for k in range(-reach, reach):
            running += half[abs(k)]
            table.append(min(int(running / total * (1 << 64)), (1 << 64) - 1))
    return -reach, np.array(table, dtype=np.uint64)


@lru_cache(maxsize=16)
def _guide(sigma_micro: int, fraction_bits: int) -> NDArray[np.int32]:
    """How many thresholds lie at or below a word, by its upper 16 bits alone; −1 where those do not settle it.

    Most words are settled without a search (Chen and Asau 1974, "On generating random variates from an empirical distribution").
    """
    _, table = thresholds(sigma_micro, fraction_bits)
    low = np.arange(1 << 16, dtype=np.uint64) << np.uint64(48)
    first = np.searchsorted(table, low, side="right")
    last = np.searchsorted(table, low | np.uint64((1 << 48) - 1), side="right")
    return np.where(first == last, first, -1).astype(np.int32)


def sample(
    count: int | tuple[int, ...], *, sigma_micro: int, fraction_bits: int, rng: Rng
) -> NDArray[np.int64]:
    """int64 [count] (or of that shape) of independent discrete Gaussian values, σ = sigma_micro/10⁶ · 2^fraction_bits units.

    `rng(n)` returns n private random bytes; 16 are used.
    """
    if sigma_micro == 0:
        return np.zeros(count, dtype=np.int64)
    smallest, table = thresholds(sigma_micro, fraction_bits)
    drawn = words64(rng(16), math.prod(count) if isinstance(count, tuple) else count)
    places = np.empty(drawn.size, dtype=np.int64)
    guide = _guide(sigma_micro, fraction_bits)
    for start in range(0, drawn.size, _BLOCK):
        part = drawn[start : start + _BLOCK]
        place = guide[(part >> np.uint64(48)).astype(np.int32)]
        unsure = np.nonzero(place < 0)[0]
        place[unsure] = np.searchsorted(table, part[unsure], side="right")
        places[start : start + _BLOCK] = place
    return places.reshape(count) + smallest


def largest_units(sigma_micro: int, fraction_bits: int) -> int:
    """No drawn value is further from zero than this, in units: the table ends there."""
    return _reach(sigma_micro, fraction_bits) if sigma_micro else 0


def _reach(sigma_micro: int, fraction_bits: int) -> int:
    sigma = Decimal(sigma_micro) * (1 << fraction_bits) / MICRO
    return max(1, math.ceil(_TAIL * float(sigma)))
