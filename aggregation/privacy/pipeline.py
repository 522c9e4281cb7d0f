"""One wallet's update on its way into a sum, and the mean on its way out: the only order these steps are ever taken in.

clip → rotate (when the header says so) → round → add this wallet's share of the noise → clamp; and back: scale → rotate back.
Noise is added in quantiser units, after rounding, so that its distribution is exactly the published table's. Everything works on
one update [d] and, with a leading axis, on those of many wallets at once; that is how simulations run the very same code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy import clipping, noise, quantise, rotation
from aggregation.privacy.stream import Rng

MICRO = 1_000_000
Floats = NDArray[np.float64]


def protect(
    update: Floats,
    *,
    clip_micro: int,
    noise_micro: int,
    value_bits: int,
    fraction_bits: int,
    rng: Rng,
    rotation_seed: bytes = b"",
) -> NDArray[np.int64]:
    """int64 [..., d'], every |value| below 2^(value_bits−1); d' = d, or the next power of two with a rotation seed.

    `rng(n)` returns n private random bytes.

    Raises:
        ValueError: the update holds NaN or an infinity, or the bound is not positive.
    """
    clipped = clipping.clip(np.asarray(update, dtype=np.float64), clip_micro / MICRO)
    turned = rotation.rotate(clipped, rotation_seed) if rotation_seed else clipped
    values = quantise.quantise(turned, fraction_bits=fraction_bits, value_bits=value_bits, rng=rng)
    values += noise.sample(values.shape, sigma_micro=noise_micro, fraction_bits=fraction_bits, rng=rng)
    return quantise.clamp(values, value_bits).astype(np.int64)


def recover(
    total: NDArray[np.int64], *, count: int, fraction_bits: int, d: int, rotation_seed: bytes = b""
) -> Floats:
    """The mean update, float64 [d], of a sum int64 [d'] over `count` wallets.

    Raises:
        ValueError: nobody is in the sum, or it is not as long as such updates are.
    """
    mean = quantise.dequantise_mean(total, count=count, fraction_bits=fraction_bits)
    if rotation_seed:
        return rotation.unrotate(mean, rotation_seed, d)
    if mean.shape[-1] != d:
        raise ValueError(f"an update of {d} coordinates is not {mean.shape[-1]} long")
    return mean
