"""The L2 bound on one wallet's update (Abadi et al. 2016, "Deep Learning with Differential Privacy", section 3.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def clip(update: Floats, bound: float) -> Floats:
    """The update scaled down to L2 norm `bound` when it is longer; float64 [d] in, float64 [d] out.

    A leading axis is allowed: [n, d] are the updates of n wallets, each clipped on its own.

    Raises:
        ValueError: the bound is not positive, or the update holds a value that is not finite.
    """
    if not bound > 0:
        raise ValueError("the clip bound must be positive")
    values = np.asarray(update, dtype=np.float64)
    norms = lengths(values)[..., np.newaxis]
    longer = norms > bound
    return np.where(longer, values * (bound / np.where(longer, norms, 1.0)), values)


def lengths(updates: Floats) -> Floats:
    """L2 norms along the last axis.

    Raises:
        ValueError: a value is not finite.
    """
    values = np.asarray(updates, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("an update must be made of finite numbers")
    largest = np.max(np.abs(values), axis=-1, initial=0.0)
    # Scaled by the largest entry first, so that squaring neither overflows nor loses subnormal values.
    scaled = values / np.where(largest == 0.0, 1.0, largest)[..., np.newaxis]
    return np.asarray(largest * np.sqrt(np.sum(np.square(scaled), axis=-1)), dtype=np.float64)
