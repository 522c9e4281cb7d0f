"""Reproducible chance: every draw of an audit follows from a label, so that each figure can be made again.

The words are an AES-128-CTR stream (`aggregation.privacy.stream`) under SHA-256(label ‖ counter), as wallets draw theirs.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy.stream import stream, words32, words64

Floats = NDArray[np.float64]
LABEL = b"cssi/v1/audit"


class Dice:
    """Draws that go on where the last ended. Calling it with a size gives bytes, which is what the pipeline asks of its `rng`."""

    def __init__(self, label: str) -> None:
        self._seed, self._count = hashlib.sha256(LABEL + label.encode()).digest(), 0

    def __call__(self, size: int) -> bytes:
        return stream(self._key(), size)

    def uniform(self, *shape: int) -> Floats:
        """float64 in [0, 1), 53 bits each."""
        words = words64(self._key(), math.prod(shape)) >> np.uint64(11)
        return (words.astype(np.float64) / 2.0**53).reshape(shape)

    def normal(self, *shape: int) -> Floats:
        """Standard normal values (Box and Muller 1958)."""
        count = math.prod(shape)
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(count)))
        made: Floats = radius * np.cos(2.0 * np.pi * self.uniform(count))
        return made.reshape(shape)

    def coins(self, *shape: int) -> NDArray[np.bool_]:
        drawn = words32(self._key(), math.prod(shape)) < np.uint32(1 << 31)
        return np.asarray(drawn.reshape(shape))

    def below(self, limit: int, *shape: int) -> NDArray[np.int64]:
        """Integers in [0, limit)."""
        return np.floor(self.uniform(*shape) * limit).astype(np.int64)

    def order(self, count: int) -> NDArray[np.int64]:
        """A permutation."""
        return np.argsort(self.uniform(count), kind="stable").astype(np.int64)

    def ranked(self, values: int, *shape: int) -> NDArray[np.int64]:
        """Values 0, 1, 2, … with chances that fall like 1, ½, ⅓, …: lists of real values have common and rare ones."""
        weights = np.cumsum(1.0 / np.arange(1, values + 1))
        found = np.searchsorted(weights / weights[-1], self.uniform(*shape), side="right")
        return np.minimum(found, values - 1).astype(np.int64)

    def _key(self) -> bytes:
        self._count += 1
        return hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()[:16]
