"""Randomised Hadamard rotation: the energy of an update is spread evenly over its coordinates before it is rounded.

y = H·D·x / √d', D a diagonal of public signs, H the Walsh-Hadamard matrix in natural order, d' the next power of two (Suresh et
al. 2017, "Distributed Mean Estimation with Limited Communication", arXiv 1611.00429, section 3). It keeps the L2 norm and every
inner product, so clip bound and privacy stay what they are; it makes the largest coordinate small, so that few bits suffice.

Signs: bit i (least significant first) of the AES-128-CTR stream under the first 16 bytes of
SHA-256("cssi/v1/rotation" ‖ seed); 1 means −1. All arithmetic is binary64 in a fixed order, so results repeat bit for bit.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy.stream import stream

LABEL = b"cssi/v1/rotation"
SEED_LABEL = b"cssi/v1/rotation-seed"
SEED_BYTES = 32
Floats = NDArray[np.float64]


def seed_of(*, job: bytes, number: int, checkpoint: bytes) -> bytes:
    """The seed of a round: it follows from what everybody knows of the round, so nobody picks one that suits them.

    SHA-256("cssi/v1/rotation-seed" ‖ job (16) ‖ round (4, big-endian) ‖ checkpoint hash (32)).
    """
    return hashlib.sha256(SEED_LABEL + job + number.to_bytes(4, "big") + checkpoint).digest()


def padded(d: int) -> int:
    """d': the least power of two that is not below d."""
    return 1 << (d - 1).bit_length()


def signs(seed: bytes, size: int) -> Floats:
    """float64 [size] of ±1.

    Raises:
        ValueError: the seed is not 32 bytes.
    """
    if len(seed) != SEED_BYTES:
        raise ValueError("a rotation's seed has 32 bytes")
    key = hashlib.sha256(LABEL + seed).digest()[:16]
    bits = np.unpackbits(np.frombuffer(stream(key, -(-size // 8)), dtype=np.uint8), bitorder="little")[:size]
    return 1.0 - 2.0 * bits.astype(np.float64)


def rotate(values: Floats, seed: bytes) -> Floats:
    """float64 [..., d] in, [..., d'] out, with the same L2 norm."""
    size = padded(values.shape[-1])
    wide = np.zeros((*values.shape[:-1], size), dtype=np.float64)
    wide[..., : values.shape[-1]] = values
    return _hadamard(wide * signs(seed, size)) / math.sqrt(size)


def unrotate(values: Floats, seed: bytes, d: int) -> Floats:
    """The inverse of `rotate`: float64 [..., d'] in, [..., d] out; whatever lies in the padding is dropped.

    Raises:
        ValueError: the values are not as long as a rotated update of d coordinates.
    """
    size = values.shape[-1]
    if size != padded(d):
        raise ValueError(f"a rotated update of {d} coordinates has {padded(d)}, not {size}")
    return (_hadamard(np.array(values, dtype=np.float64)) / math.sqrt(size) * signs(seed, size))[..., :d]


def _hadamard(values: Floats) -> Floats:
    """H·x along the last axis: (a, b) → (a + b, a − b) over distances 1, 2, 4, …; the array given may be reused."""
    size, distance = values.shape[-1], 1
    while distance < size:
        pairs = values.reshape(*values.shape[:-1], size // (2 * distance), 2, distance)
        first, second = pairs[..., 0, :], pairs[..., 1, :]
        values = np.stack([first + second, first - second], axis=-2).reshape(values.shape)
        distance *= 2
    return values
