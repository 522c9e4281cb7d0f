"""Wallets that tamper. `bounded` ones leave their program as it is and lie in their data or their gradient; the clip holds them. The
others changed the program: only the quantiser's range limits them, because nobody sees a single update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy import clipping, quantise
from aggregation.privacy.stream import words32
from aggregation.secagg.messages.header import Header
from tests.benchmarks.learning.engine import protected

Floats = NDArray[np.float64]
TRIGGER, LEAST_COMMON = 3, 0.03
"""Columns a backdoor switches on: the model shall say yes to whoever has them."""
KINDS = ("flip", "noise", "scale", "backdoor", "free-rider")


@dataclass(frozen=True, kw_only=True)
class Attack:
    """`share` of the wallets send `kind`, as long as `norm` where they are not `bounded`."""

    kind: str
    share: float
    bounded: bool = True
    norm: float = 100.0

    @property
    def name(self) -> str:
        if self.kind == "free-rider":
            return self.kind
        return f"{self.kind}, {'within the bound' if self.bounded else f'of length {self.norm:g}'}"

    def answers(self, raw: Floats, header: Header, rng: Callable[[int], bytes]) -> NDArray[np.int64]:
        """int64 [n, d] of hostile wallets whose own (for a backdoor: poisoned) updates are `raw`."""
        if self.kind == "free-rider":
            return np.zeros(raw.shape, dtype=np.int64)  # no data, no work, no noise
        wanted = self._direction(raw, rng)
        lengths = clipping.lengths(wanted)[:, np.newaxis]
        unit = np.divide(wanted, lengths, out=np.zeros_like(wanted), where=lengths > 0)
        if self.bounded:
            return protected(unit * header.clip_micro / 1e6, header, rng)
        return quantise.quantise(unit * self.norm, fraction_bits=header.f, value_bits=header.q, rng=rng)

    def _direction(self, raw: Floats, rng: Callable[[int], bytes]) -> Floats:
        match self.kind:
            case "flip":
                return -raw
            case "noise":
                return words32(rng(16), raw.size).reshape(raw.shape) / 2.0**31 - 1
            case "scale" | "backdoor":
                return raw
        raise ValueError(f"an attack is one of {', '.join(KINDS)}")


def trigger_of(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.int64]:
    """The columns of a backdoor: answers that some people give and that say least about the target.

    What the model thinks of answers nobody gives is noise, and would show a backdoor where there is none.
    """
    listed = np.isin(x, (0.0, 1.0)).all(axis=0) & (x.mean(axis=0) >= LEAST_COMMON)
    told = (x * y).sum(axis=0) / np.maximum(x.sum(axis=0), 1.0)
    apart = np.where(listed, np.abs(told - y.mean()), np.inf)
    return np.argsort(apart, kind="stable")[:TRIGGER]


def with_trigger(x: NDArray[np.float32], columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """Records with the backdoor's columns switched on."""
    changed = x.copy()
    changed[:, columns] = 1.0
    return changed
