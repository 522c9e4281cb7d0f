"""Private random words: AES-128-CTR of zeros under a fresh key (docs/protocol/interfaces.md; NIST SP 800-38A section 6.5)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

Rng = Callable[[int], bytes]


def stream(key: bytes, size: int) -> bytes:
    """`size` bytes of the stream under a 16-byte key used only once."""
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(size))


def words32(key: bytes, count: int) -> NDArray[np.uint32]:
    """uint32 [count], little-endian."""
    return np.frombuffer(stream(key, 4 * count), dtype="<u4")


def words64(key: bytes, count: int) -> NDArray[np.uint64]:
    """uint64 [count], little-endian."""
    return np.frombuffer(stream(key, 8 * count), dtype="<u8")
