"""The header of a round: everything all parties must agree on. Its hash is the round id and the salt of every key.

The aggregator builds it, the collective signs it inside the task, the wallet compares it with its permit. A server that
shows two wallets different headers (another checkpoint, other minima) gives them keys that do not cancel.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

from aggregation.secagg.messages.codec import Invalid, Message, check_bytes, check_int
from aggregation.wire import signing
from aggregation.wire.errors import BadKey

MILLION = 1_000_000
MAX_WORDS = 1 << 28
MAX_MEMBERS = 1 << 20
LARGEST_COMPLETE = 256
"""A neighbourhood has at most 255 members: Shamir's x is one non-zero byte."""
LEAST_BUCKET_MIN = 20
LEAST_RELEASE_MIN = 100
LABEL_HASH = b"cssi/v1/header\x00"
WEEK = 7 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class PhaseSeconds:
    """How long each phase stays open, in seconds from its start."""

    advertise: int
    share_keys: int
    masked_input: int
    consistency: int
    unmask: int


@dataclass(frozen=True, kw_only=True)
class Header(Message):
    """Parameters of one round. Immutable; every field is part of the hash."""

    KIND: ClassVar[str] = "header"

    job: bytes
    """16 bytes, the job's UUID."""
    round: int
    """From 1, strictly increasing within a job."""
    manifest_hash: bytes
    checkpoint_hash: bytes
    d: int
    """Coordinates of an update before padding."""
    ring_bits: int = 32
    """R: 32 or 16; arithmetic is modulo 2^R."""
    q: int
    """Quantiser bits: every coordinate of an update lies in [−2^(q−1), 2^(q−1))."""
    f: int
    """Fraction bits: an update coordinate u travels as u · 2^f."""
    clip_micro: int
    """Clip norm in millionths."""
    noise_micro: int
    """σ of one wallet's share of the noise, in millionths."""
    rotation_seed: bytes = b""
    """Empty, or 32 bytes: coordinates are rotated and padded to a power of two."""
    bucket_size: int
    """m: the bucket size aimed at."""
    bucket_min: int
    """The least number of wallets in one sum the aggregator may see."""
    release_min: int
    """The least number of wallets in what leaves the aggregator."""
    graph: str = "complete"
    """`complete` or `circulant`."""
    k: int = 0
    """Degree of a circulant graph, even; 0 for complete."""
    threshold_ppm: int
    """t = min(degree, ceil((degree + 1) · threshold_ppm / 10^6)); above one half, so that 2t > degree + 1."""
    log_root: bytes
    """Root of the job's frozen enrolment log."""
    log_size: int
    distributor_key: bytes
    """Ed25519; signs the member lists and the survivors, once each."""
    deadlines: PhaseSeconds
    development: bool = False
    """Minima below the protocol's own are allowed; every page and report says so."""

    def hash(self) -> bytes:
        """The 32-byte round id: SHA-256 over `cssi/v1/header ‖ 0x00 ‖ encoding`."""
        return self._hash

    @cached_property
    def _hash(self) -> bytes:
        return hashlib.sha256(LABEL_HASH + self.to_bytes()).digest()

    @property
    def padded_d(self) -> int:
        """d' = length of an update: d, or the next power of two when coordinates are rotated."""
        return 1 << (self.d - 1).bit_length() if self.rotation_seed else self.d

    @property
    def words(self) -> int:
        """Length of a masked vector: d' coordinates, count, checksum."""
        return self.padded_d + 2

    @property
    def masked_bytes(self) -> int:
        return self.words * self.ring_bits // 8

    @property
    def bucket_aim(self) -> int:
        """The least size a bucket is drawn with when there is a choice: bucket_min survives the loss of a tenth."""
        return min(self.bucket_size, -(-self.bucket_min * 10 // 9))

    @property
    def largest_bucket(self) -> int:
        """No drawn bucket exceeds this: m, or just under two small buckets where a split would leave too few."""
        return max(self.bucket_size, 2 * self.bucket_aim - 1)

    def bucket_count(self, members: int) -> int:
        """B for so many wallets: about m in each, but never so many buckets that one starts below `bucket_aim`."""
        wanted = -(-members // self.bucket_size)
        return max(1, min(wanted, members // self.bucket_aim))

    def degree(self, members: int) -> int:
        """Neighbours of each wallet in a bucket of so many members."""
        return members - 1 if self.graph == "complete" or self.k >= members - 1 else self.k

    def threshold(self, members: int) -> int:
        """t: shares that rebuild a secret, in a bucket of so many members on its list; never more than there are."""
        degree = self.degree(members)
        return min(degree, -(-(degree + 1) * self.threshold_ppm // MILLION))

    def phase_seconds(self) -> dict[str, int]:
        return asdict(self.deadlines)

    def _validate(self) -> None:
        self._validate_identity()
        check_int(self.d, 1, MAX_WORDS, "d")
        if self.ring_bits not in (16, 32):
            raise Invalid("ring_bits must be 16 or 32")
        check_int(self.q, 2, self.ring_bits, "q")
        check_int(self.f, 0, 30, "f")
        check_int(self.clip_micro, 1, 10**12, "clip_micro")
        check_int(self.noise_micro, 0, 10**12, "noise_micro")
        if self.rotation_seed != b"":
            check_bytes(self.rotation_seed, 32, "rotation_seed")
        self._validate_minima()
        self._validate_graph()
        if not isinstance(self.deadlines, PhaseSeconds):
            raise Invalid("deadlines must be PhaseSeconds")
        for phase, seconds in self.phase_seconds().items():
            check_int(seconds, 1, WEEK, phase)

    def _validate_identity(self) -> None:
        check_bytes(self.job, 16, "job")
        check_int(self.round, 1, 1 << 31, "round")
        for name in ("manifest_hash", "checkpoint_hash", "log_root", "distributor_key"):
            check_bytes(getattr(self, name), 32, name)
        check_int(self.log_size, 1, 1 << 40, "log_size")
        try:
            signing.check_public_key(self.distributor_key)
        except BadKey as error:
            raise Invalid(str(error)) from None

    def _validate_minima(self) -> None:
        if not isinstance(self.development, bool):
            raise Invalid("development must be true or false")
        least_bucket, least_release = (2, 2) if self.development else (LEAST_BUCKET_MIN, LEAST_RELEASE_MIN)
        check_int(self.bucket_min, least_bucket, MAX_MEMBERS, "bucket_min")
        check_int(self.release_min, max(least_release, self.bucket_min), MAX_MEMBERS, "release_min")
        check_int(self.bucket_size, self.bucket_min, MAX_MEMBERS, "bucket_size")
        check_int(self.threshold_ppm, MILLION // 2 + 1, MILLION, "threshold_ppm")

    def _validate_graph(self) -> None:
        if self.graph not in ("complete", "circulant"):
            raise Invalid("graph must be complete or circulant")
        if self.graph == "complete":
            check_int(self.k, 0, 0, "k")
            if self.largest_bucket > LARGEST_COMPLETE:
                raise Invalid(f"a complete graph cannot have buckets of {self.largest_bucket}; use circulant")
        else:
            check_int(self.k, 2, LARGEST_COMPLETE - 2, "k")
            if self.k % 2:
                raise Invalid("a circulant graph has an even k")
        if self.q + (self.largest_bucket - 1).bit_length() > self.ring_bits:
            raise Invalid("the sum of a bucket does not fit into the ring; lower q or the bucket size")

    @classmethod
    def _unpack(cls, values: dict[str, Any]) -> dict[str, Any]:
        seconds = values["deadlines"]
        if not isinstance(seconds, dict) or seconds.keys() != PhaseSeconds.__dataclass_fields__.keys():
            raise Invalid("deadlines must name every phase")
        return {**values, "deadlines": PhaseSeconds(**seconds)}

    def _pack(self) -> dict[str, Any]:
        return {**super()._pack(), "deadlines": self.phase_seconds()}
