"""Sums as the platform makes them: each wallet's answer through the wallets' own pipeline, then added.

Masks cancel in a sum, so leaving them out changes nothing that a reader of the sum sees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy import pipeline
from aggregation.privacy.rotation import SEED_BYTES
from collectives.audit.conditions import Conditions
from collectives.audit.dice import Dice

Floats = NDArray[np.float64]
AT_ONCE = 4_000_000
"""Scalars that go through the pipeline at a time."""
ROTATION = bytes(range(SEED_BYTES))
"""Public in any round's header; which one does not matter."""


def protected(raw: Floats, conditions: Conditions, dice: Dice) -> NDArray[np.int64]:
    """int64 [n, d']: what the n wallets with these answers [n, d] send, each with noise of its own."""
    size = max(1, AT_ONCE // max(1, raw.shape[1]))
    parts = [_sent(raw[start : start + size], conditions, dice) for start in range(0, len(raw), size)]
    return np.concatenate(parts)


def summed(raw: Floats, conditions: Conditions, dice: Dice) -> Floats:
    """float64 [d]: the sum over the wallets with these answers, as its reader gets it (mean times count)."""
    size = max(1, AT_ONCE // max(1, raw.shape[1]))
    total = sum(
        _sent(raw[start : start + size], conditions, dice).sum(axis=0) for start in range(0, len(raw), size)
    )
    return read(np.asarray(total), len(raw), conditions, raw.shape[1])


def read(total: NDArray[np.int64], count: int, conditions: Conditions, d: int) -> Floats:
    """The sum in the answers' own units."""
    mean = pipeline.recover(
        total,
        count=count,
        fraction_bits=conditions.fraction_bits,
        d=d,
        rotation_seed=ROTATION if conditions.rotation else b"",
    )
    return mean * count


def _sent(raw: Floats, conditions: Conditions, dice: Dice) -> NDArray[np.int64]:
    return pipeline.protect(
        raw,
        clip_micro=conditions.clip_micro,
        noise_micro=conditions.share_micro,
        value_bits=conditions.value_bits,
        fraction_bits=conditions.fraction_bits,
        rng=dice,
        rotation_seed=ROTATION if conditions.rotation else b"",
    )
