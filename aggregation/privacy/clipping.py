"""The L2 bound on one wallet's update (Abadi et al. 2016, "Deep Learning with Differential Privacy", section 3.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def clip(update: Floats, bound: float) -> Floats:
    """The update scaled down to L2 norm `bound` when it is longer; float64 [d] in, float64 [d] out.

    Raises:
        ValueError: the bound is not positive, or the update holds a value that is not finite.
    """
    if not bound > 0:
        raise ValueError("the clip bound must be positive")
    values = np.asarray(update, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("an update must be made of finite numbers")
    largest = float(np.max(np.abs(values), initial=0.0))
    if largest == 0.0:
        return values
    # Scaled by the largest entry first, so that squaring neither overflows nor loses subnormal values.
    norm = largest * float(np.sqrt(np.sum(np.square(values / largest))))
    return values if norm <= bound else values * (bound / norm)
