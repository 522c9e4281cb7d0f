"""From real numbers to ring words and back: unbiased stochastic rounding to fixed point.

q = floor(g · 2^f + r / 2³²) in binary64 with r from a private uint32 stream, then clamped to q signed bits. The expected value
of q is exactly g · 2^f, so rounding errors average out in a sum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy.stream import Rng, words32


def quantise(
    update: NDArray[np.float64], *, fraction_bits: int, value_bits: int, rng: Rng
) -> NDArray[np.int64]:
    """int64 [d] within ±(2^(value_bits−1) − 1); [n, d] for the updates of n wallets.

    Raises:
        ValueError: the update holds NaN or an infinity.
    """
    values = np.asarray(update, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("an update must be made of finite numbers")
    drawn = words32(rng(16), values.size).reshape(values.shape).astype(np.float64)
    scaled = np.floor(values * float(1 << fraction_bits) + drawn / 2.0**32)
    return clamp(scaled, value_bits).astype(np.int64)


def clamp(values: NDArray[np.float64] | NDArray[np.int64], value_bits: int) -> NDArray[np.float64]:
    """Values limited to ±(2^(value_bits−1) − 1)."""
    most = float((1 << (value_bits - 1)) - 1)
    return np.clip(values, -most, most).astype(np.float64)


def dequantise_mean(total: NDArray[np.int64], *, count: int, fraction_bits: int) -> NDArray[np.float64]:
    """The mean update, float64 [d], of a sum over `count` wallets.

    Raises:
        ValueError: the count is not positive.
    """
    if count <= 0:
        raise ValueError("a mean needs at least one wallet")
    return total.astype(np.float64) / (float(1 << fraction_bits) * count)
