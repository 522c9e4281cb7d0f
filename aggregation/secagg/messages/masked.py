"""A masked input read piece by piece: its vector is never in memory as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

from aggregation.secagg.errors import Fault, RemoteProtocolError
from aggregation.secagg.messages.codec import VERSION, SignedMessage, check_bytes
from aggregation.secagg.messages.phases import MaskedInput
from aggregation.wire import cbor

Read = Callable[[memoryview], None]
"""Fills what it is given with the next bytes."""
_PIECE = 128 * 1024


@dataclass(frozen=True, kw_only=True)
class MaskedClaim(SignedMessage):
    """A `MaskedInput` without its vector: what there is to check of one that is read piece by piece."""

    KIND: ClassVar[str] = MaskedInput.KIND
    LABEL: ClassVar[bytes] = MaskedInput.LABEL

    header: bytes
    sender: bytes
    y: bytes
    """SHA-256 of the vector: what the signature covers in its place."""

    @classmethod
    def read(cls, read: Read, size: int) -> Self:
        """Read a whole message whose vector has `size` bytes.

        Raises:
            RemoteProtocolError: the bytes are not this message with such a vector.
        """
        read_to_vector(read, size)
        digest, buffer = hashlib.sha256(), memoryview(bytearray(min(_PIECE, size)))
        for start in range(0, size, _PIECE):
            piece = buffer[: size - start]
            read(piece)
            digest.update(piece)
        message = MaskedInput.from_bytes(_to_vector(0) + read_behind_vector(read))
        return cls(
            header=message.header, sender=message.sender, y=digest.digest(), signature=message.signature
        )

    def _validate(self) -> None:
        for name in ("header", "sender", "y"):
            check_bytes(getattr(self, name), 32, name)
        check_bytes(self.signature, 64, "signature")


def read_to_vector(read: Read, size: int) -> None:
    """Read a MaskedInput up to its vector of `size` bytes.

    Raises:
        RemoteProtocolError: it is another message, or its vector has another size.
    """
    expected = _to_vector(size)
    if _read_bytes(read, len(expected)) != expected:
        raise RemoteProtocolError(
            Fault.MALFORMED, "this is no masked input with a vector of the round's size"
        )


def read_behind_vector(read: Read) -> bytes:
    """What follows the vector of a MaskedInput: header, sender and signature."""
    return _read_bytes(read, _BEHIND_VECTOR)


def masked_input_bytes(size: int) -> int:
    """How long a MaskedInput with a vector of `size` bytes is."""
    return len(_to_vector(size)) + size + _BEHIND_VECTOR


def _read_bytes(read: Read, length: int) -> bytes:
    found = bytearray(length)
    read(memoryview(found))
    return bytes(found)


def _to_vector(size: int) -> bytes:
    """A MaskedInput's encoding up to its vector: `t`, `v` and `y` are its shortest keys and so come first."""
    fixed = {"t": MaskedInput.KIND, "v": VERSION}
    entries = b"".join(cbor.encode(name) + cbor.encode(value) for name, value in fixed.items())
    return cbor.head(cbor.MAP, 6) + entries + cbor.encode("y") + cbor.head(cbor.BYTES, size)


_BEHIND_VECTOR = len(
    MaskedInput(header=bytes(32), sender=bytes(32), y=b"", signature=bytes(64)).to_bytes()
) - len(_to_vector(0))
