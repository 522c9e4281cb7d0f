"""Arithmetic modulo 2^R on vectors of unsigned words, and the layout `update ‖ count ‖ checksum`.

The count is 1 per wallet. The checksum is a public random combination of the words before it, so it is linear: the checksum of
the sum is the sum of the checksums. A mask that does not cancel leaves all words random, and both disagree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from aggregation.secagg import masking
from aggregation.secagg.errors import Abort, AbortReason, Fault, LocalProtocolError, RemoteProtocolError
from aggregation.secagg.messages import Header

Words = npt.NDArray[Any]
"""Unsigned words of the ring: uint32 or uint16, little-endian."""
Integers = npt.NDArray[np.int64]
LABEL_CHECKSUM = b"cssi/v1/checksum\x00"


def word_type(header: Header) -> np.dtype[Any]:
    return np.dtype("<u4") if header.ring_bits == 32 else np.dtype("<u2")


Mask = tuple[bytes, int]
"""A mask's seed, and +1 to add it or −1 to take it off."""


def add_mask(words: Words, seed: bytes, sign: int) -> None:
    """Add (sign = 1) or subtract (sign = −1) the mask of a seed, in place."""
    add_masks(words, ((seed, sign),))


def add_masks(words: Words, masks: Iterable[Mask], executor: Executor | None = None) -> None:
    """Add many masks in place. With an executor the words are cut in two, one half for each of two threads: the cipher and numpy
    release the interpreter lock, and a mask can be entered anywhere."""
    work = list(masks)
    if executor is None or words.nbytes <= WORTH_TWO_THREADS:
        _add_masks(words, work, 0)
        return
    half = words.nbytes // 2 // 16 * 16
    middle = half // words.itemsize
    other = executor.submit(_add_masks, words[middle:], work, half)
    try:
        _add_masks(words[:middle], work, 0)
    finally:
        other.result()


def _add_masks(words: Words, masks: Sequence[Mask], offset: int) -> None:
    """Add masks to words that begin `offset` bytes into the vector.

    Piece by piece with all masks of a group before the next piece, so that a piece of words stays in the cache; one mask after the
    other costs a third more for long vectors.
    """
    buffer = masking.buffer(words.nbytes, masking.PIECE)
    for first in range(0, len(masks), GROUP):
        group = [
            (masking.open_stream(seed, offset), np.add if sign > 0 else np.subtract)
            for seed, sign in masks[first : first + GROUP]
        ]
        step = len(buffer) // words.itemsize
        for start in range(0, len(words), step):
            part = words[start : start + step]
            view = buffer[: part.nbytes]
            mask = np.frombuffer(view, dtype=words.dtype)
            for fill, combine in group:
                fill(view)
                combine(part, mask, out=part)


WORTH_TWO_THREADS = 256 * 1024
"""Vectors of more bytes are cut in two."""
GROUP = 128
"""Masks whose ciphers are open at once: half a megabyte of them."""


def checksum(header: Header, words: Words) -> int:
    """Σ a_i · w_i mod 2^R over the words before the checksum; a_i is the mask stream under a public key of the round.

    The coefficients are made odd, so a change of a single word, even of its highest bit alone, always shows.
    """
    seed = hashlib.sha256(LABEL_CHECKSUM + header.hash()).digest()[:16]
    if words.nbytes <= masking.BLOCK:
        total = int(np.multiply(_coefficients(seed, len(words), words.dtype), words).sum(dtype=words.dtype))
        return total % (1 << header.ring_bits)
    total, start = 0, 0
    for block in masking.stream(seed, words.nbytes):
        coefficients = np.frombuffer(block, dtype=words.dtype)
        np.bitwise_or(coefficients, 1, out=coefficients)
        part = words[start : start + len(coefficients)]
        np.multiply(coefficients, part, out=coefficients)
        total += int(coefficients.sum(dtype=words.dtype))
        start += len(coefficients)
    return total % (1 << header.ring_bits)


@lru_cache(maxsize=4)
def _coefficients(seed: bytes, count: int, kind: np.dtype[Any]) -> Words:
    """Those of a short vector, which all wallets of a round have in common: public, so wallets of one process may share them."""
    block = next(masking.stream(seed, count * kind.itemsize))
    coefficients: Words = np.frombuffer(bytes(block), dtype=kind) | kind.type(1)
    coefficients.flags.writeable = False
    return coefficients


def encode_update(header: Header, update: npt.ArrayLike) -> Words:
    """An update as `words` words.

    Args:
        update: integers, shape (padded_d,), each within [−2^(q−1), 2^(q−1)).

    Raises:
        LocalProtocolError: another shape or type, or a value that the quantiser could not have made.
    """
    values = np.asarray(update)
    if values.shape != (header.padded_d,) or values.dtype.kind not in "iu":
        raise LocalProtocolError(Fault.WRONG_UPDATE, f"expected {header.padded_d} integers")
    bound = 1 << (header.q - 1)
    if values.min() < -bound or values.max() >= bound:
        raise LocalProtocolError(Fault.WRONG_UPDATE, f"a value does not fit into {header.q} bits")
    words = np.empty(header.words, dtype=word_type(header))
    words[:-2] = values.astype(np.int64).astype(words.dtype)
    words[-2] = 1
    words[-1] = checksum(header, words[:-1])
    return words


class Accumulator:
    """The running sum of masked inputs: memory of one vector however many are added."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.words: Words = np.zeros(header.words, dtype=word_type(header))

    def take(self) -> Words:
        """The words, handed over: unmasking works in place and leaves no masked sum behind.

        Raises:
            LocalProtocolError: they were taken or erased before.
        """
        if not self.words.size:
            raise LocalProtocolError(Fault.CLOSED, "this accumulator was used")
        words, self.words = self.words, self.words[:0]
        return words

    def add(self, y: bytes) -> None:
        """Raises:
        RemoteProtocolError: the vector has another size.
        """
        if len(y) != self.words.nbytes:
            raise RemoteProtocolError(Fault.WRONG_SIZE, f"expected {self.words.nbytes} bytes")
        np.add(self.words, np.frombuffer(y, dtype=self.words.dtype), out=self.words)

    def add_from(self, read: Callable[[memoryview], None]) -> None:
        """Add a vector that `read` gives piece by piece, filling what it is handed: it is never in memory as a whole.

        When `read` raises, a part of the vector is in the sum, which is then of no more use.
        """
        buffer = masking.buffer(self.words.nbytes)
        step = len(buffer) // self.words.itemsize
        for start in range(0, len(self.words), step):
            part = self.words[start : start + step]
            piece = buffer[: part.nbytes]
            read(piece)
            np.add(part, np.frombuffer(piece, dtype=part.dtype), out=part)

    def to_bytes(self) -> bytes:
        return self.words.tobytes()

    @property
    def view(self) -> memoryview:
        """What `to_bytes` says, where it lies."""
        return self.words.data.cast("B")

    @classmethod
    def from_bytes(cls, header: Header, data: bytes) -> Accumulator:
        """The accumulator that `to_bytes` described; also a sum of several."""
        accumulator = cls(header)
        accumulator.add(data)
        return accumulator

    def erase(self) -> None:
        self.words.fill(0)
        self.words = self.words[:0]


def decode_sum(header: Header, words: Words, contributors: int) -> Integers:
    """The integer sum of so many updates, shape (padded_d,).

    Raises:
        Abort: count or checksum differ, or a coordinate is larger than so many updates can make it.
    """
    total: Integers = signed_sum(header, words, contributors).astype(np.int64)
    return total


def signed_sum(header: Header, words: Words, contributors: int) -> Words:
    """`decode_sum` where it lies: a view of the words as signed integers of the ring's width."""
    if int(words[-2]) != contributors % (1 << header.ring_bits):
        raise Abort(AbortReason.WRONG_COUNT)
    if int(words[-1]) != checksum(header, words[:-1]):
        raise Abort(AbortReason.WRONG_CHECKSUM)
    signed: Words = words[:-2].view(words.dtype.str.replace("u", "i"))
    bound = contributors << (header.q - 1)
    if signed.min() < -bound or signed.max() >= bound:
        raise Abort(AbortReason.WRAPPED)
    return signed
