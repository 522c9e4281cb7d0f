"""Shamir's secret sharing over GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1 (0x11b), byte by byte.

A secret of L bytes is shared with L independent polynomials of degree t − 1; x is a non-zero byte. Multiplication is one
256 × 256 table, so a whole neighbourhood is computed in one vectorised step. Table look-ups are not constant-time in the
cache; secrets are one-round seeds of 128 bits, computed on the machine that owns them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Rng = Callable[[int], bytes]
Bytes = npt.NDArray[np.uint8]
Share = tuple[int, bytes]
"""x, and the polynomials' values there."""

POLYNOMIAL = 0x11B
GENERATOR = 3
LARGEST_X = 255


def _tables() -> tuple[Bytes, Bytes, Bytes]:
    exp, log = np.zeros(510, dtype=np.uint8), np.zeros(256, dtype=np.uint8)
    value = 1
    for power in range(255):
        exp[power] = exp[power + 255] = value
        log[value] = power
        doubled = value << 1
        value ^= doubled ^ (POLYNOMIAL if doubled & 0x100 else 0)  # times GENERATOR = x + 1
    products = exp[log[:, None].astype(np.int64) + log[None, :]]
    products[0, :] = products[:, 0] = 0
    return exp, log, np.ascontiguousarray(products)


_EXP, _LOG, _MUL = _tables()


def split(secret: bytes, *, shares: int, threshold: int, rng: Rng) -> list[bytes]:
    """Shares for x = 1 … `shares`; any `threshold` of them rebuild the secret, fewer say nothing about it.

    Raises:
        ValueError: threshold not within 1 … shares, or more than 255 shares.
    """
    if not 1 <= threshold <= shares <= LARGEST_X:
        raise ValueError(
            "a threshold lies within 1 and the number of shares, and there are at most 255 shares"
        )
    length = len(secret)
    coefficients = np.frombuffer(secret + rng((threshold - 1) * length), dtype=np.uint8)
    return _evaluate(coefficients.reshape(threshold, length), shares)


def _evaluate(coefficients: Bytes, shares: int) -> list[bytes]:
    """The polynomials at every x in one step; `coefficients` is (t, L), the constant term first."""
    places = _powers(len(coefficients), shares)[:, :, None] + coefficients
    values = np.bitwise_xor.reduce(_MUL.reshape(-1).take(places), axis=1)
    return [value.tobytes() for value in values]


@lru_cache(maxsize=64)
def _powers(terms: int, shares: int) -> npt.NDArray[np.int32]:
    """Where in the table of products the row of x^j begins, for x = 1 … `shares` and j below `terms`: shape (shares, terms)."""
    x = np.arange(1, shares + 1, dtype=np.uint8)
    powers = [np.ones(shares, dtype=np.uint8)]
    for _ in range(terms - 1):
        powers.append(_MUL[x, powers[-1]])
    return np.stack(powers, axis=1).astype(np.int32) << 8


def combine(shares: Sequence[Share]) -> bytes:
    """The secret behind exactly `threshold` shares.

    Raises:
        ValueError: no share, equal or impossible x, or shares of different length.
    """
    return interpolate(shares, 0)


def combine_each(groups: Sequence[Sequence[Share]]) -> list[bytes]:
    """`combine` for one or more secrets of one threshold and length, in one vectorised step."""
    return _interpolate_each(groups, 0)


def interpolate(shares: Sequence[Share], at: int) -> bytes:
    """Lagrange's polynomial through the shares, at the point `at` (0 … 255)."""
    return _interpolate_each((shares,), at)[0]


def _interpolate_each(groups: Sequence[Sequence[Share]], at: int) -> list[bytes]:
    weights: list[Bytes] = []
    values: list[bytes] = []
    for shares in groups:
        xs, column = zip(*shares, strict=True) if shares else ((), ())
        if not xs or len(set(xs)) != len(xs) or min(xs) < 1 or max(xs) > LARGEST_X:
            raise ValueError("shares need distinct x within 1 and 255")
        weights.append(_lagrange(bytes(xs), at))
        values += column
    if len(set(map(len, values))) != 1:
        raise ValueError("shares of one secret have one length")
    columns = np.frombuffer(b"".join(values), dtype=np.uint8).reshape(len(groups), len(weights[0]), -1)
    products = _MUL[np.stack(weights)[:, :, None], columns]
    return [secret.tobytes() for secret in np.bitwise_xor.reduce(products, axis=1)]


@lru_cache(maxsize=1024)
def _lagrange(points: bytes, at: int) -> Bytes:
    """The weights Π (at − x_j) / (x_i − x_j) over j ≠ i; minus is XOR here.

    Remembered: in a complete bucket most secrets are rebuilt from the same points.
    """
    xs = np.frombuffer(points, dtype=np.uint8)
    if at in points:
        return np.equal(xs, at).astype(np.uint8)
    log = _LOG.astype(np.int64)
    numerators = log[xs ^ np.uint8(at)]
    differences = xs[:, None] ^ xs[None, :]
    denominators = log[differences]  # the diagonal is log[0], which the table holds as 0
    exponents = numerators.sum() - numerators - denominators.sum(axis=1)
    weights: Bytes = _EXP[exponents % 255]
    return weights
