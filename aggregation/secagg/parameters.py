"""Degree and threshold for a cohort: as small as security and survival allow.

Neighbours are a uniform sample of the other wallets, so corrupt and lost ones among them follow hypergeometric laws. Two rules:

* **Security** (malicious aggregator): 2t > k + corrupt neighbours for every wallet at once, but for 2^-σ. Then no wallet's two
  secrets can both be rebuilt (`docs/protocol/secagg.md`, section 5).
* **Survival**: every wallet keeps at least t neighbours, but for 2^-failure.

The tails are computed in exact integers; nothing is approximated (Bell et al., CCS 2020, section 3 uses bounds instead).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb

SECURITY_BITS = 40
FAILURE_BITS = 20
MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Degree k and threshold t."""

    k: int
    threshold: int

    @property
    def threshold_ppm(self) -> int:
        """The header's value that gives exactly this threshold at this degree."""
        return self.threshold * MILLION // (self.k + 1)


@lru_cache(maxsize=65536)
def _tail(population: int, marked: int, sample: int, least: int) -> int:
    """Of the C(population, sample) samples, how many hold at least `least` marked ones."""
    first, last = max(least, sample - (population - marked), 0), min(marked, sample)
    return sum(comb(marked, i) * comb(population - marked, sample - i) for i in range(first, last + 1))


def _rarer_than(bits: int, *, wallets: int, marked: int, sample: int, least: int) -> bool:
    """Whether, over all wallets, a sample with so many marked ones has probability at most 2^-bits (union bound)."""
    others = wallets - 1
    return (_tail(others, marked, sample, least) * wallets) << bits <= comb(others, sample)


def secure_threshold(
    *, wallets: int, corrupt_ppm: int, k: int, security_bits: int = SECURITY_BITS
) -> int | None:
    """The least t with 2t > k + corrupt neighbours for every wallet; None if even t = k does not do.

    Args:
        wallets: size of the cohort the neighbours are drawn from.
        corrupt_ppm: corrupt wallets per million.
        k: degree; for a complete bucket its size less one.
    """
    corrupt = round(wallets * corrupt_ppm / MILLION)
    for threshold in range(k // 2 + 1, k + 1):
        least = 2 * threshold - k
        if _rarer_than(security_bits, wallets=wallets, marked=corrupt, sample=k, least=least):
            return threshold
    return None


def survives(
    *, wallets: int, lost_ppm: int, parameters: Parameters, failure_bits: int = FAILURE_BITS
) -> bool:
    """Whether all wallets keep t neighbours when so many per million are lost, but for 2^-failure_bits."""
    lost = round(wallets * lost_ppm / MILLION)
    least = parameters.k - parameters.threshold + 1
    return _rarer_than(failure_bits, wallets=wallets, marked=lost, sample=parameters.k, least=least)


def find(
    *,
    wallets: int,
    corrupt_ppm: int,
    lost_ppm: int,
    security_bits: int = SECURITY_BITS,
    failure_bits: int = FAILURE_BITS,
) -> Parameters | None:
    """The smallest even degree, with its least secure threshold, that also survives; None if there is none below a complete graph."""
    for k in range(2, wallets - 1, 2):
        threshold = secure_threshold(
            wallets=wallets, corrupt_ppm=corrupt_ppm, k=k, security_bits=security_bits
        )
        if threshold is None:
            continue
        found = Parameters(k=k, threshold=threshold)
        if survives(wallets=wallets, lost_ppm=lost_ppm, parameters=found, failure_bits=failure_bits):
            return found
    return None


def shortfall(*, k: int, threshold: int, lost_ppm: int) -> float:
    """The probability that one wallet of a complete bucket keeps fewer than t of its k neighbours, each lost independently."""
    lost = lost_ppm / MILLION
    return sum(comb(k, i) * (1 - lost) ** i * lost ** (k - i) for i in range(threshold))
