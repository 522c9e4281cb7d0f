"""The messages from ShareKeys to Unmasking. Section by section: who sends what, when."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from typing import Any, ClassVar, NamedTuple, Self

from aggregation.secagg.messages.codec import (
    Invalid,
    Message,
    SignedMessage,
    check_ascending,
    check_blob,
    check_bytes,
    check_each,
    check_int,
    integers,
    named,
    rows,
    shape,
)
from aggregation.secagg.messages.header import LARGEST_COMPLETE, MAX_MEMBERS, MAX_WORDS
from aggregation.wire import cbor
from aggregation.wire.secret import Secret
from aggregation.wire.shapes import (
    INTEGERS,
    SMALL,
    Shape,
    blob,
    octets,
    octets_column,
    table,
    words_column,
)

SECRET_BYTES = 16
"""Length of b and κ, of their shares and of a mask seed: 128 bits."""
TAG_BYTES = 16
SEALED_SHARE_BYTES = 2 * SECRET_BYTES + TAG_BYTES
LONGEST_VECTOR = 4 * (MAX_WORDS + 2)
LONGEST_BOX = SECRET_BYTES * LARGEST_COMPLETE + TAG_BYTES


class SealedShare(NamedTuple):
    """Shares of (b, κ), encrypted between `peer` and the wallet this belongs to.

    A tuple, as `Agreement` is: there are as many per message as neighbours, and the aggregator reads every message.
    """

    peer: int
    """Position of the other wallet: the recipient in ShareKeys, the owner in ShareBundle."""
    ciphertext: bytes


def _check_shares(shares: object) -> None:
    if not isinstance(shares, tuple):
        raise Invalid("shares must be a tuple")
    if shares:
        peers, ciphertexts = zip(*shares, strict=True)
        check_ascending(peers, MAX_MEMBERS, "shares")
        check_each(ciphertexts, SEALED_SHARE_BYTES, "ciphertext")


def _shares_of(value: object) -> tuple[SealedShare, ...]:
    return named(repeat(SealedShare), rows(value, "peer", "ciphertext"))


def _sealed(peers: Sequence[bytes], ciphertexts: Sequence[bytes]) -> tuple[SealedShare, ...]:
    return named(repeat(SealedShare), zip(map(INTEGERS.__getitem__, peers), ciphertexts, strict=True))


def _rows_of(items: Iterable[Iterable[Any]]) -> list[list[Any]]:
    return list(map(list, items))


@dataclass(frozen=True, kw_only=True)
class ShareKeys(SignedMessage):
    """Wallet to server, ShareKeys: one encrypted share pair per neighbour, the escrow box, a commitment to b."""

    KIND: ClassVar[str] = "share-keys"
    LABEL: ClassVar[bytes] = b"cssi/v1/share-keys"
    SHAPE: ClassVar[Shape] = shape(
        KIND,
        header=octets(32),
        sender=octets(32),
        lists_root=octets(32),
        shares=table(_sealed, SMALL, octets_column(SEALED_SHARE_BYTES)),
        escrow=blob(LONGEST_BOX),
        commitment=octets(32),
        signature=octets(64),
    )

    header: bytes
    sender: bytes
    lists_root: bytes
    """Root of the signed lists, so that this cannot be replayed under other lists of the round."""
    shares: tuple[SealedShare, ...]
    """For every neighbour, by ascending position."""
    escrow: bytes
    """All mask seeds of the sender, by ascending neighbour, encrypted under κ."""
    commitment: bytes
    """SHA-256 commitment to b, so that a wrong share is noticed, and whose it was."""

    @cached_property
    def boxes(self) -> dict[int, bytes]:
        """Ciphertexts by neighbour, in the order of `shares`. Shared: not to be changed."""
        return dict(self.shares)

    @classmethod
    def sign(cls, private: Secret, **values: Any) -> Self:
        return cls._signed(private, **values)

    def _validate(self) -> None:
        for name in ("header", "sender", "lists_root", "commitment"):
            check_bytes(getattr(self, name), 32, name)
        check_bytes(self.signature, 64, "signature")
        check_blob(self.escrow, LONGEST_BOX, "escrow")
        _check_shares(self.shares)

    def _pack(self) -> dict[str, Any]:
        return {**super()._pack(), "shares": _rows_of(self.shares)}

    @classmethod
    def _unpack(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "shares": _shares_of(values["shares"])}


@dataclass(frozen=True, kw_only=True)
class ShareBundle(Message):
    """Server to wallet, ShareKeys: who joined (U1) and the shares that the joined neighbours sent to this wallet."""

    KIND: ClassVar[str] = "share-bundle"

    header: bytes
    bucket: int
    joined: tuple[int, ...]
    shares: tuple[SealedShare, ...]

    def _validate(self) -> None:
        check_bytes(self.header, 32, "header")
        check_int(self.bucket, 0, MAX_MEMBERS, "bucket")
        check_ascending(self.joined, MAX_MEMBERS, "joined")
        _check_shares(self.shares)

    def _pack(self) -> dict[str, Any]:
        return {**super()._pack(), "shares": _rows_of(self.shares)}

    @classmethod
    def _unpack(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "joined": integers(values["joined"]), "shares": _shares_of(values["shares"])}


@dataclass(frozen=True, kw_only=True)
class MaskedInput(SignedMessage):
    """Wallet to server, MaskedInput: the masked vector; the signature covers its hash."""

    KIND: ClassVar[str] = "masked-input"
    LABEL: ClassVar[bytes] = b"cssi/v1/masked-input"
    SHAPE: ClassVar[Shape] = shape(
        KIND, header=octets(32), sender=octets(32), y=blob(LONGEST_VECTOR), signature=octets(64)
    )

    header: bytes
    sender: bytes
    y: bytes = field(repr=False)
    """`words` unsigned integers of R bits, little-endian."""

    @classmethod
    def sign(cls, private: Secret, *, header: bytes, sender: bytes, y: bytes) -> Self:
        return cls._signed(private, header=header, sender=sender, y=y)

    def signed_body(self) -> dict[str, Any]:
        return {**super().signed_body(), "y": self.y_hash}

    def _signed_parts(self, data: bytes, places: dict[str, slice]) -> bytes:
        del places["y"]  # "y" comes first
        header_and_sender = b"".join([data[place] for place in places.values()])
        return cbor.head(cbor.MAP, 3) + cbor.encode("y") + cbor.encode(self.y_hash) + header_and_sender

    @cached_property
    def y_hash(self) -> bytes:
        return hashlib.sha256(self.y).digest()

    def _validate(self) -> None:
        check_bytes(self.header, 32, "header")
        check_bytes(self.sender, 32, "sender")
        check_blob(self.y, LONGEST_VECTOR, "y")
        check_bytes(self.signature, 64, "signature")


@dataclass(frozen=True, kw_only=True)
class Consistency(SignedMessage):
    """Wallet to server, ConsistencyCheck: "these are the survivors I was shown"."""

    KIND: ClassVar[str] = "consistency"
    LABEL: ClassVar[bytes] = b"cssi/v1/consistency"
    SHAPE: ClassVar[Shape] = shape(
        KIND, header=octets(32), sender=octets(32), survivors=octets(32), signature=octets(64)
    )

    header: bytes
    sender: bytes
    survivors: bytes
    """`Survivors.digest()`."""

    @classmethod
    def sign(cls, private: Secret, *, header: bytes, sender: bytes, survivors: bytes) -> Self:
        return cls._signed(private, header=header, sender=sender, survivors=survivors)

    def _validate(self) -> None:
        for name in ("header", "sender", "survivors"):
            check_bytes(getattr(self, name), 32, name)
        check_bytes(self.signature, 64, "signature")


class Agreement(NamedTuple):
    """The `Consistency` signature of the wallet at a position."""

    position: int
    signature: bytes


@dataclass(frozen=True, kw_only=True)
class ConsistencySet(Message):
    """Server to wallet, ConsistencyCheck: the agreements of the wallet's neighbours (others may be among them)."""

    KIND: ClassVar[str] = "consistency-set"

    header: bytes
    bucket: int
    survivors: bytes
    agreements: tuple[Agreement, ...]

    def _validate(self) -> None:
        check_bytes(self.header, 32, "header")
        check_int(self.bucket, 0, MAX_MEMBERS, "bucket")
        check_bytes(self.survivors, 32, "survivors")
        if self.agreements:
            positions, signatures = zip(*self.agreements, strict=True)
            check_ascending(positions, MAX_MEMBERS, "agreements")
            check_each(signatures, 64, "signature")

    def _pack(self) -> dict[str, Any]:
        return {**super()._pack(), "agreements": _rows_of(self.agreements)}

    @classmethod
    def _unpack(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {
            **values,
            "agreements": named(repeat(Agreement), rows(values["agreements"], "position", "signature")),
        }


class SelfShare(NamedTuple):
    """A share of a survivor's self seed b."""

    owner: int
    share: bytes
    word: str = "self"

    def __repr__(self) -> str:
        return f"SelfShare(owner={self.owner})"


class EscrowShare(NamedTuple):
    """A share of a lost wallet's escrow key κ."""

    owner: int
    share: bytes
    word: str = "escrow"

    def __repr__(self) -> str:
        return f"EscrowShare(owner={self.owner})"


RevealedShare = SelfShare | EscrowShare
_BY_WORD: dict[str, type[RevealedShare]] = {"self": SelfShare, "escrow": EscrowShare}
_WORDS = {cbor.encode(word): word for word in _BY_WORD}


def _revealed(
    owners: Sequence[bytes], encoded: Sequence[bytes], shares: Sequence[bytes]
) -> tuple[RevealedShare, ...]:
    words = [_WORDS[word] for word in encoded]
    kinds = map(_BY_WORD.__getitem__, words)
    return named(kinds, zip(map(INTEGERS.__getitem__, owners), shares, words, strict=True))


@dataclass(frozen=True, kw_only=True)
class Unmask(SignedMessage):
    """Wallet to server, Unmasking, once: per neighbour one share, of b or of κ.

    Owners ascend strictly and an entry is one kind or the other, so a message that reveals both of one peer cannot be written.
    """

    KIND: ClassVar[str] = "unmask"
    LABEL: ClassVar[bytes] = b"cssi/v1/unmask"
    SHAPE: ClassVar[Shape] = shape(
        KIND,
        header=octets(32),
        sender=octets(32),
        survivors=octets(32),
        shares=table(_revealed, SMALL, words_column(*_BY_WORD), octets_column(SECRET_BYTES)),
        signature=octets(64),
    )

    header: bytes
    sender: bytes
    survivors: bytes
    shares: tuple[RevealedShare, ...]

    @classmethod
    def sign(
        cls,
        private: Secret,
        *,
        header: bytes,
        sender: bytes,
        survivors: bytes,
        shares: tuple[RevealedShare, ...],
    ) -> Self:
        return cls._signed(private, header=header, sender=sender, survivors=survivors, shares=shares)

    def _validate(self) -> None:
        for name in ("header", "sender", "survivors"):
            check_bytes(getattr(self, name), 32, name)
        check_bytes(self.signature, 64, "signature")
        if self.shares:
            owners, shares, _ = zip(*self.shares, strict=True)
            check_ascending(owners, MAX_MEMBERS, "shares")
            check_each(shares, SECRET_BYTES, "share")

    def _pack(self) -> dict[str, Any]:
        return {**super()._pack(), "shares": [[owner, word, share] for owner, share, word in self.shares]}

    @classmethod
    def _unpack(cls, values: dict[str, Any]) -> dict[str, Any]:
        found = rows(values["shares"], *"osx")
        try:
            kinds = [_BY_WORD[word] for _, word, _ in found]
        except (KeyError, TypeError):  # an unknown word, or something that cannot be one
            raise Invalid("a revealed share is of the kind self or escrow") from None
        return {**values, "shares": named(kinds, [(owner, share, word) for owner, word, share in found])}
