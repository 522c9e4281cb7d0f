"""Who is in which bucket (AdvertiseKeys) and who survived (ConsistencyCheck), and the distributor's one signature on each.

One signature covers all buckets: it is over the root of a Merkle tree (RFC 6962) whose leaves are the buckets' digests, and every
wallet gets the audit path of its own bucket. So the distributor signs twice per round however many buckets there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

from aggregation.secagg.errors import Fault, RemoteProtocolError
from aggregation.secagg.messages.codec import (
    Invalid,
    Message,
    SignedMessage,
    check_ascending,
    check_bytes,
    check_each,
    check_int,
    integers,
    rows,
    shape,
    verify,
)
from aggregation.secagg.messages.header import MAX_MEMBERS, Header
from aggregation.wire import cbor, merkle, signing
from aggregation.wire.errors import BadProof
from aggregation.wire.secret import Secret
from aggregation.wire.shapes import Shape, octets

MAX_PROOF = 40
LATEST = 1 << 40
LABEL_LISTS = b"cssi/v1/lists"
LABEL_SURVIVORS = b"cssi/v1/survivors"
_LABEL_ASSIGNMENT = b"cssi/v1/assignment\x00"
_LABEL_RANDOMNESS = b"cssi/v1/randomness\x00"


@dataclass(frozen=True, kw_only=True)
class Advertise(SignedMessage):
    """Wallet to server, AdvertiseKeys: a fresh X25519 key for this round, signed by the job key."""

    KIND: ClassVar[str] = "advertise"
    LABEL: ClassVar[bytes] = b"cssi/v1/advertise"
    SHAPE: ClassVar[Shape] = shape(
        KIND, header=octets(32), sender=octets(32), public_key=octets(32), signature=octets(64)
    )

    header: bytes
    """Hash of the header: 32 bytes, in every message."""
    sender: bytes
    """Job key."""
    public_key: bytes

    @classmethod
    def sign(cls, private: Secret, *, header: bytes, sender: bytes, public_key: bytes) -> Self:
        return cls._signed(private, header=header, sender=sender, public_key=public_key)

    def _validate(self) -> None:
        for name in ("header", "sender", "public_key"):
            check_bytes(getattr(self, name), 32, name)
        check_bytes(self.signature, 64, "signature")


@dataclass(frozen=True, kw_only=True)
class Member:
    """One wallet of a bucket, as its neighbours know it."""

    job_key: bytes
    public_key: bytes
    index: int
    """Leaf index in the enrolment log."""
    expires: int
    """Expiry of the job key, unix seconds; part of the log's leaf."""

    def row(self) -> list[Any]:
        return [self.job_key, self.public_key, self.index, self.expires]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Why a member may be believed: its signature on its key and its place in the frozen log."""

    position: int
    signature: bytes
    proof: tuple[bytes, ...]

    def row(self) -> list[Any]:
        return [self.position, self.signature, list(self.proof)]

    def check(self) -> None:
        check_bytes(self.signature, 64, "signature")
        check_path(self.proof, "proof")


def check_path(path: object, name: str) -> None:
    if not isinstance(path, tuple) or len(path) > MAX_PROOF:
        raise Invalid(f"{name} must be a list of at most {MAX_PROOF} hashes")
    check_each(path, 32, name)


def _check_members(members: object) -> None:
    if not isinstance(members, tuple) or not 1 <= len(members) <= MAX_MEMBERS:
        raise Invalid("members must not be empty")
    for name in ("job_key", "public_key"):
        check_each((getattr(member, name) for member in members), 32, name)
    for name in ("index", "expires"):
        values = [getattr(member, name) for member in members]
        if set(map(type, values)) != {int}:
            raise Invalid(f"{name} must be an integer")
        if min(values) < 0 or max(values) > LATEST:
            raise Invalid(f"{name} must lie within 0 and {LATEST}", Fault.OUT_OF_RANGE)


def _members_of(value: object) -> tuple[Member, ...]:
    return tuple(
        Member(job_key=key, public_key=public, index=index, expires=expires)
        for key, public, index, expires in rows(value, "job_key", "public_key", "index", "expires")
    )


def _path_of(value: object) -> tuple[bytes, ...]:
    if not isinstance(value, list):
        raise Invalid("an array of hashes is expected")
    return tuple(value)


def _check_distinct(members: Iterable[Member]) -> None:
    everyone = list(members)
    for name in ("job_key", "public_key", "index"):
        if len({getattr(member, name) for member in everyone}) != len(everyone):
            raise Invalid(f"two members have the same {name}", Fault.DUPLICATE)


def cohort_randomness(tickets: Iterable[bytes]) -> bytes:
    """The public randomness of the bucket draw: SHA-256 over the cohort's sorted 16-byte tickets.

    The distributor drew the tickets before any key of the round existed and each wallet knows only its own, so neither
    the aggregator nor a wallet that chooses its key last can aim at a bucket.
    """
    return hashlib.sha256(_LABEL_RANDOMNESS + b"".join(sorted(tickets))).digest()


def assignment(
    header: Header, randomness: bytes, members: Iterable[Member]
) -> tuple[tuple[Member, ...], ...]:
    """The buckets of a round: everyone sorted by a hash under H(randomness ‖ all advertised keys), cut into B even runs."""
    everyone = list(members)
    keys = b"".join(sorted(member.job_key + member.public_key for member in everyone))
    seed = hashlib.sha256(_LABEL_ASSIGNMENT + header.hash() + randomness + keys).digest()
    everyone.sort(key=lambda member: hashlib.sha256(seed + member.job_key).digest())
    n, count = len(everyone), header.bucket_count(len(everyone))
    return tuple(tuple(everyone[b * n // count : (b + 1) * n // count]) for b in range(count))


def bucket_digest(index: int, members: Sequence[Member]) -> bytes:
    """The leaf that stands for a bucket in the tree of lists."""
    return hashlib.sha256(cbor.encode({"bucket": index, "members": [m.row() for m in members]})).digest()


def survivors_digest(index: int, positions: Sequence[int]) -> bytes:
    return hashlib.sha256(cbor.encode({"bucket": index, "positions": list(positions)})).digest()


def lists_body(header: bytes, buckets: int, randomness: bytes, root: bytes) -> dict[str, Any]:
    """What the distributor signs about the lists."""
    return {"header": header, "buckets": buckets, "randomness": randomness, "root": root}


def survivors_body(header: bytes, lists_root: bytes, buckets: int, root: bytes, total: int) -> dict[str, Any]:
    """What the distributor signs about the survivors of all buckets."""
    return {"header": header, "lists": lists_root, "buckets": buckets, "root": root, "total": total}


@dataclass(frozen=True, kw_only=True)
class ListsRequest(Message):
    """Server to distributor: all buckets of a round, to be signed once."""

    KIND: ClassVar[str] = "lists-request"

    header: bytes
    randomness: bytes
    buckets: tuple[tuple[Member, ...], ...]

    @property
    def header_hash(self) -> bytes:
        return self.header

    @cached_property
    def tree(self) -> merkle.MerkleLog:
        return merkle.MerkleLog(bucket_digest(i, members) for i, members in enumerate(self.buckets))

    def lists_root(self) -> bytes:
        return self.tree.root

    def signed_body(self) -> dict[str, Any]:
        return lists_body(self.header, len(self.buckets), self.randomness, self.lists_root())

    def digest(self) -> bytes:
        """What a single-signature log keeps: SHA-256 of the signed bytes."""
        return hashlib.sha256(signing.signed_bytes(LABEL_LISTS, self.signed_body())).digest()

    def sign(self, private: Secret) -> bytes:
        return signing.sign(private, LABEL_LISTS, self.signed_body())

    def check_assignment(self, header: Header) -> None:
        """Raises:
        RemoteProtocolError: another header, or the buckets are not the drawn ones.
        """
        if header.hash() != self.header:
            raise RemoteProtocolError(Fault.WRONG_ROUND, "the lists belong to another header")
        everyone = [member for bucket in self.buckets for member in bucket]
        if assignment(header, self.randomness, everyone) != self.buckets:
            raise RemoteProtocolError(Fault.WRONG_LIST, "the buckets are not the ones that were drawn")

    def _validate(self) -> None:
        check_bytes(self.header, 32, "header")
        check_bytes(self.randomness, 32, "randomness")
        if not isinstance(self.buckets, tuple) or not self.buckets:
            raise Invalid("buckets must not be empty")
        for members in self.buckets:
            _check_members(members)
        _check_distinct(member for members in self.buckets for member in members)

    def _pack(self) -> dict[str, Any]:
        return {**super()._pack(), "buckets": [[m.row() for m in members] for members in self.buckets]}

    @classmethod
    def _unpack(cls, values: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(values["buckets"], list):
            raise Invalid("buckets must be an array")
        return {**values, "buckets": tuple(_members_of(members) for members in values["buckets"])}


@dataclass(frozen=True, kw_only=True)
class AdvertiseList(Message):
    """Server to wallet, AdvertiseKeys: the bucket's members, evidence at least for the wallet's neighbours, the one signature."""

    KIND: ClassVar[str] = "advertise-list"

    header: bytes
    bucket: int
    buckets: int
    randomness: bytes
    members: tuple[Member, ...]
    evidence: tuple[Evidence, ...]
    path: tuple[bytes, ...]
    """Audit path of this bucket's digest in the tree of lists."""
    root: bytes
    signature: bytes
    """The distributor's, over `lists_body`."""

    def verify_by(self, distributor: bytes) -> None:
        """The distributor signed a set of lists, and this is one of them.

        Raises:
            RemoteProtocolError: it did not, or it is not.
        """
        body = lists_body(self.header, self.buckets, self.randomness, self.root)
        verify(distributor, LABEL_LISTS, body, self.signature)
        _verify_path(
            bucket_digest(self.bucket, self.members), self.bucket, self.buckets, self.path, self.root
        )

    def _validate(self) -> None:
        for name in ("header", "randomness", "root"):
            check_bytes(getattr(self, name), 32, name)
        check_bytes(self.signature, 64, "signature")
        check_int(self.buckets, 1, MAX_MEMBERS, "buckets")
        check_int(self.bucket, 0, self.buckets - 1, "bucket")
        _check_members(self.members)
        _check_distinct(self.members)
        check_path(self.path, "path")
        check_ascending(tuple(item.position for item in self.evidence), len(self.members), "evidence")
        for item in self.evidence:
            item.check()

    def _pack(self) -> dict[str, Any]:
        return {
            **super()._pack(),
            "members": [member.row() for member in self.members],
            "evidence": [item.row() for item in self.evidence],
        }

    @classmethod
    def _unpack(cls, values: dict[str, Any]) -> dict[str, Any]:
        evidence = tuple(
            Evidence(position=position, signature=signature, proof=_path_of(proof))
            for position, signature, proof in rows(values["evidence"], "position", "signature", "proof")
        )
        members, path = _members_of(values["members"]), _path_of(values["path"])
        return {**values, "members": members, "evidence": evidence, "path": path}


@dataclass(frozen=True, kw_only=True)
class SurvivorsRequest(Message):
    """Server to distributor: the survivors of all buckets, to be signed once. A bucket that failed has none."""

    KIND: ClassVar[str] = "survivors-request"

    header: bytes
    lists_root: bytes
    buckets: tuple[tuple[int, ...], ...]

    @property
    def header_hash(self) -> bytes:
        return self.header

    @property
    def total(self) -> int:
        return sum(len(positions) for positions in self.buckets)

    @cached_property
    def tree(self) -> merkle.MerkleLog:
        return merkle.MerkleLog(survivors_digest(i, positions) for i, positions in enumerate(self.buckets))

    def signed_body(self) -> dict[str, Any]:
        return survivors_body(self.header, self.lists_root, len(self.buckets), self.tree.root, self.total)

    def digest(self) -> bytes:
        """What a single-signature log keeps: SHA-256 of the signed bytes."""
        return hashlib.sha256(signing.signed_bytes(LABEL_SURVIVORS, self.signed_body())).digest()

    def sign(self, private: Secret) -> bytes:
        return signing.sign(private, LABEL_SURVIVORS, self.signed_body())

    def _validate(self) -> None:
        check_bytes(self.header, 32, "header")
        check_bytes(self.lists_root, 32, "lists_root")
        if not isinstance(self.buckets, tuple) or not self.buckets:
            raise Invalid("buckets must not be empty")
        for positions in self.buckets:
            check_ascending(positions, MAX_MEMBERS, "survivors")

    @classmethod
    def _unpack(cls, values: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(values["buckets"], list):
            raise Invalid("buckets must be an array")
        return {**values, "buckets": tuple(integers(positions) for positions in values["buckets"])}


@dataclass(frozen=True, kw_only=True)
class Survivors(Message):
    """Server to wallet, ConsistencyCheck: U2 of the bucket, the total over all buckets, the one signature."""

    KIND: ClassVar[str] = "survivors"

    header: bytes
    lists_root: bytes
    bucket: int
    buckets: int
    positions: tuple[int, ...]
    total: int
    path: tuple[bytes, ...]
    root: bytes
    signature: bytes

    def signed_body(self) -> dict[str, Any]:
        return survivors_body(self.header, self.lists_root, self.buckets, self.root, self.total)

    def digest(self) -> bytes:
        """What a wallet signs when it agrees: SHA-256 of the bytes the distributor signed."""
        return self._digest

    @cached_property
    def _digest(self) -> bytes:
        return hashlib.sha256(signing.signed_bytes(LABEL_SURVIVORS, self.signed_body())).digest()

    @cached_property
    def alive(self) -> frozenset[int]:
        """The positions as a set."""
        return frozenset(self.positions)

    def verify_by(self, distributor: bytes) -> None:
        """Raises:
        RemoteProtocolError: the distributor did not sign these survivors.
        """
        verify(distributor, LABEL_SURVIVORS, self.signed_body(), self.signature)
        digest = survivors_digest(self.bucket, self.positions)
        _verify_path(digest, self.bucket, self.buckets, self.path, self.root)

    def _validate(self) -> None:
        for name in ("header", "lists_root", "root"):
            check_bytes(getattr(self, name), 32, name)
        check_bytes(self.signature, 64, "signature")
        check_int(self.buckets, 1, MAX_MEMBERS, "buckets")
        check_int(self.bucket, 0, self.buckets - 1, "bucket")
        check_ascending(self.positions, MAX_MEMBERS, "positions")
        check_int(self.total, len(self.positions), MAX_MEMBERS, "total")
        check_path(self.path, "path")

    @classmethod
    def _unpack(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "positions": integers(values["positions"]), "path": _path_of(values["path"])}


def _verify_path(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    try:
        merkle.verify_inclusion(leaf, index, size, path, root)
    except BadProof as error:
        raise RemoteProtocolError(Fault.WRONG_LIST, str(error)) from None
