"""The output contract, applied in the agent, outside the sandbox: nothing a worker returned leaves without passing here.

Exact length and type, all finite, clipped to the round's bound, this wallet's share of noise added, quantised. Every
failure is a fixed code; nothing about the value goes with it. A round that learns its clip bound gets one coordinate more: whether
the update was within it, under the same bound and the same noise (`aggregation.privacy.adaptive`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from aggregation.privacy import adaptive, pipeline
from aggregation.secagg.messages import Header
from wallets.agent.errors import OutputRefused

FIRST_MOMENT, LAST_MOMENT = 0.125, 32.0


def contract(
    raw: bytes, header: Header, rng: Callable[[int], bytes], *, marked: bool = False
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The quantised, noised update, int64 [header.padded_d], every |value| below 2^(q−1).

    `raw`: float32 little-endian [d] from a worker, [d − 1] where the last coordinate is the mark of an adaptive clip; `rng`: private
    entropy. The steps are `aggregation.privacy.pipeline`'s.
    Raises OutputRefused with code short, not_finite, noise (a round that asks for too much).
    """
    if len(raw) != 4 * (header.d - marked):
        raise OutputRefused("The worker's answer has the wrong length.", code="short")
    update = np.frombuffer(raw, dtype="<f4").astype(np.float64)
    if not np.isfinite(update).all():
        raise OutputRefused("The worker's answer is not made of finite numbers.", code="not_finite")
    if marked:
        rule = adaptive.Rule()
        bound = adaptive.inner_bound(header.clip_micro / pipeline.MICRO, rule)
        update = adaptive.with_indicator(update, bound, rule)
    try:
        return pipeline.protect(
            update,
            clip_micro=header.clip_micro,
            noise_micro=header.noise_micro,
            value_bits=header.q,
            fraction_bits=header.f,
            rng=rng,
            rotation_seed=header.rotation_seed,
        )
    except ValueError:
        raise OutputRefused("The round asks for more noise than any honest one.", code="noise") from None


def moment(elapsed: float) -> float:
    """When an answer that took `elapsed` seconds may leave, seconds after the work began: 0.125, 0.25, 0.5, … 32.

    A worker that broke out of its vocabulary could say something by how long it takes. With nine moments to choose from it
    says three bits at most, and an honest one says nothing but how busy this machine is.
    """
    allowed = FIRST_MOMENT
    while allowed < min(elapsed, LAST_MOMENT):
        allowed *= 2
    return allowed
