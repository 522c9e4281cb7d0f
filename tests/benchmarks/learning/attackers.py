"""Wallets that answer against the model. Two kinds, told apart everywhere: those a norm bound holds, and those nothing holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy import clipping, pipeline, quantise
from aggregation.secagg.messages.header import Header


@dataclass(frozen=True, kw_only=True)
class Attack:
    """`share` of all wallets, always the same ones, send their own update turned round and as long as `norm`.

    `bounded`: it goes through clip and noise as an honest agent's does. Otherwise the program itself was changed: only the
    quantiser's range limits it, because the server cannot see a single update.
    """

    share: float
    norm: float
    bounded: bool = True

    def wallets(self, population: int, seed: int) -> frozenset[int]:
        """Exactly the share, chosen by a keyed order."""
        order = sorted(
            range(population), key=lambda one: hashlib.sha256(f"attack:{seed}:{one}".encode()).digest()
        )
        return frozenset(order[: round(self.share * population)])

    def answer(
        self, update: NDArray[np.float64], header: Header, rng: Callable[[int], bytes]
    ) -> NDArray[np.int64]:
        """int64 [d] instead of the honest answer."""
        length = float(clipping.lengths(update))
        against = -update * (self.norm / length) if length > 0 else update
        if self.bounded:
            return pipeline.protect(
                against,
                clip_micro=header.clip_micro,
                noise_micro=header.noise_micro,
                value_bits=header.q,
                fraction_bits=header.f,
                rng=rng,
            )
        return quantise.quantise(against, fraction_bits=header.f, value_bits=header.q, rng=rng)
