"""Who is visited in a round: without replacement inside a pass, or every wallet by its own coin (Poisson sampling with a cap)."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np

from aggregation.privacy.accounting import Sampling
from aggregation.privacy.stream import words32, words64


class PassDraw:
    """As the distributor draws: least drawn first, then a keyed order. Nobody is visited twice before all were once."""

    def __init__(self, wallets: int, seed: int) -> None:
        self._drawn, self._key, self._round = [0] * wallets, str(seed).encode(), 0

    def next(self, size: int) -> list[int]:
        """So many wallets, fewest visits first."""
        self._round += 1
        order = sorted(range(len(self._drawn)), key=lambda wallet: (self._drawn[wallet], self._rank(wallet)))
        for wallet in order[:size]:
            self._drawn[wallet] += 1
        return order[:size]

    @property
    def most(self) -> int:
        """Visits of the wallet that was visited most."""
        return max(self._drawn)

    def _rank(self, wallet: int) -> bytes:
        return hmac.digest(self._key, f"{self._round}:{wallet}".encode(), hashlib.sha256)


class QuickPassDraw:
    """As `PassDraw`, with an order from a stream instead of a hash per wallet: for long runs over many wallets."""

    def __init__(self, wallets: int, seed: int) -> None:
        self._drawn, self._seed, self._round = np.zeros(wallets, dtype=np.int64), seed, 0

    def next(self, size: int) -> list[int]:
        self._round += 1
        key = hashlib.sha256(f"pass:{self._seed}:{self._round}".encode()).digest()[:16]
        chosen = np.lexsort((words64(key, self._drawn.size), self._drawn))[:size]
        self._drawn[chosen] += 1
        return [int(wallet) for wallet in chosen]

    @property
    def most(self) -> int:
        return int(self._drawn.max())


class PoissonDraw:
    """Each wallet with the sampling's probability, independently of all others and of all rounds.

    A draw outside [least, cap] is thrown away and nothing is released for it; the accountant charges the chance of that.
    """

    def __init__(self, sampling: Sampling, seed: int) -> None:
        self._sampling, self._seed, self._round = sampling, seed, 0
        self._drawn = np.zeros(sampling.population, dtype=np.int64)

    def next(self, size: int) -> list[int]:
        """The wallets whose coin fell; `size` is only what is expected."""
        while True:
            self._round += 1
            key = hashlib.sha256(f"poisson:{self._seed}:{self._round}".encode()).digest()[:16]
            below = self._sampling.probability * 2.0**32
            chosen = np.nonzero(words32(key, self._sampling.population) < below)[0]
            if self._sampling.least <= chosen.size <= self._sampling.cap:
                self._drawn[chosen] += 1
                return [int(wallet) for wallet in chosen]

    @property
    def most(self) -> int:
        return int(self._drawn.max())


def sampling_for(*, wallets: int, cohort: int, rounds: int) -> Sampling:
    """Poisson sampling of an expected cohort, with room of five standard deviations below and six above."""
    spread = (cohort * (1 - cohort / wallets)) ** 0.5
    return Sampling(
        probability=cohort / wallets,
        rounds=rounds,
        population=wallets,
        cap=round(cohort + 6.5 * spread),
        least=round(cohort - 6 * spread),
    )
