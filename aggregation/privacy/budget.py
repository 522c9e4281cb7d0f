"""What a sum of costs means: from ρ to ε and back, small enough to be written again in a browser.

ρ is zero-concentrated differential privacy; the costs of visits add up. ε at a given δ is the least of

    ρ·α + (ln(1/δ) + (α−1)·ln(1−1/α) − ln α) / (α−1)      over α > 1

(Canonne, Kamath, Steinke 2020, arXiv 2004.00010, proposition 12), which holds for the discrete Gaussian as it is. The exact
value for Gaussian noise (`accounting`) is a few per cent lower.
"""

from __future__ import annotations

import math

MICRO = 1_000_000
DELTA_EXPONENT = 6
"""δ = 10^−6 unless something else is said: one in a million, and below one over the number of people."""
_LEAST, _MOST, _STEPS = math.log(1e-6), math.log(1e9), 120
_GOLDEN = (math.sqrt(5) - 1) / 2
MOST_EPSILON = 1_000.0


def sensitivity_micro(clip_micro: int, *, coordinates: int, fraction_bits: int) -> int:
    """Δ in millionths, rounded up: the clip bound, and what rounding d' coordinates to units of 2^−f adds at most."""
    squared = -(-coordinates * MICRO**2 // (1 << (2 * fraction_bits)))
    root = math.isqrt(squared)
    return clip_micro + root + (root * root < squared)


def cost_micro(
    clip_micro: int, share_micro: int, *, wallets: int, coordinates: int, fraction_bits: int
) -> int | None:
    """ρ of one visit in millionths, rounded up: Δ²/2σ², σ² = wallets · share² being the noise of the smallest sum.

    Integers throughout. None without noise: nothing can be said then.
    """
    delta = sensitivity_micro(clip_micro, coordinates=coordinates, fraction_bits=fraction_bits)
    variance = wallets * share_micro**2
    return -(-MICRO * delta**2 // (2 * variance)) if variance else None


def epsilon(rho_micro: int, *, delta_exponent: int = DELTA_EXPONENT) -> float:
    """ε of a sum of costs (millionths of ρ) at δ = 10^−delta_exponent; 0 for nothing spent.

    The minimum is found by golden section over ln(α − 1), 120 steps; every α gives a true bound, so an early end is only loose.
    """
    if rho_micro <= 0:
        return 0.0
    rho, lost = rho_micro / MICRO, delta_exponent * math.log(10)

    def bound(at: float) -> float:
        over = math.exp(at)
        alpha = 1 + over
        return rho * alpha + (lost + over * (math.log(over) - math.log(alpha)) - math.log(alpha)) / over

    low, high = _LEAST, _MOST
    for _ in range(_STEPS):
        span = _GOLDEN * (high - low)
        if bound(high - span) < bound(low + span):
            high = low + span
        else:
            low = high - span
    return max(0.0, bound((low + high) / 2))


def rho_micro(limit: float, *, delta_exponent: int = DELTA_EXPONENT) -> int:
    """The largest sum of costs, in millionths of ρ, whose ε does not exceed `limit`.

    Raises:
        ValueError: the limit is negative or above 1,000.
    """
    if not 0 <= limit <= MOST_EPSILON:
        raise ValueError("a limit on ε lies between 0 and 1,000")
    low, high = 0, math.ceil(MOST_EPSILON * MICRO)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (middle, high) if epsilon(middle, delta_exponent=delta_exponent) <= limit else (low, middle)
        )
    return low
