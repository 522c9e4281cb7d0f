"""A bucket held in memory, with the phase table enforced. A server that stores every message uses the steps alone.

Messages of one wallet are idempotent: the same bytes again are ignored, other bytes are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import TypeVar

from aggregation.secagg.errors import Abort, Fault, RemoteProtocolError
from aggregation.secagg.messages import Consistency, ShareKeys, Survivors, Unmask
from aggregation.secagg.phases import BUCKET, BucketEvent, BucketPhase, Machine
from aggregation.secagg.server import steps
from aggregation.secagg.server.roster import Bucket
from aggregation.secagg.server.unmasking import BucketSum, unmask
from aggregation.secagg.vectors import Accumulator

T = TypeVar("T")


class Once:
    """Remembers the digest of what each wallet sent in each phase."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, bytes], bytes] = {}

    def is_repeat(self, kind: str, sender: bytes, data: bytes) -> bool:
        """Raises:
        RemoteProtocolError: the wallet sent something else before.
        """
        digest = hashlib.sha256(data).digest()
        before = self._seen.get((kind, sender))
        if before is None:
            self._seen[kind, sender] = digest
        elif before != digest:
            raise RemoteProtocolError(Fault.DUPLICATE, "this wallet sent another such message before")
        return before is not None


class BucketServer:
    """One bucket from ShareKeys to its sum."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._machine = Machine(BUCKET, BucketPhase.SHARE_KEYS)
        self._once = Once()
        self._share_keys: dict[int, ShareKeys] = {}
        self.joined: tuple[int, ...] = ()
        self._accumulator = Accumulator(bucket.header)
        self._included: set[int] = set()
        self._survivors: Survivors | None = None
        self._consistencies: dict[int, Consistency] = {}
        self._unmasks: dict[int, Unmask] = {}
        self.abort_reason: Abort | None = None

    @classmethod
    def restore(
        cls,
        bucket: Bucket,
        *,
        share_keys: Iterable[bytes],
        joined: tuple[int, ...] | None = None,
        included: Iterable[int] = (),
        accumulator: bytes = b"",
        closed_inputs: bool = False,
        survivors: Survivors | None = None,
        consistencies: Iterable[bytes] = (),
        closed_consistency: bool = False,
        unmasks: Iterable[bytes] = (),
        trusted: bool = True,
    ) -> BucketServer:
        """A bucket as it was before a crash, from stored messages.

        Args:
            joined: as `close_shares` returned it, or None if the phase was still open.
            included, accumulator: who is in the stored sum of masked inputs, and `Accumulator.to_bytes`.
            survivors: the signed list, once there is one; implies that the inputs were closed.
            trusted: skip the signature checks that were made when the messages first came.
        """
        server = cls(bucket)
        for data in share_keys:
            server.receive_share_keys(data, trusted=trusted)
        if joined is None:
            return server
        server._machine.advance(BucketEvent.CLOSE_SHARES)
        server.joined = joined
        if accumulator:
            server._accumulator = Accumulator.from_bytes(bucket.header, accumulator)
            server._included = set(included)
        if closed_inputs or survivors is not None:
            server._machine.advance(BucketEvent.CLOSE_INPUTS)
        if survivors is None:
            return server
        server.survivors_signed(survivors)
        for data in consistencies:
            server.receive_consistency(data, trusted=trusted)
        if closed_consistency:
            server._machine.advance(BucketEvent.CLOSE_AGREEMENTS)
        for data in unmasks:
            server.receive_unmask(data, trusted=trusted)
        return server

    @property
    def phase(self) -> BucketPhase:
        return self._machine.phase

    @property
    def included(self) -> tuple[int, ...]:
        """Positions whose masked inputs are in the sum."""
        return tuple(sorted(self._included))

    @property
    def accumulator(self) -> bytes:
        """The sum of masked inputs so far, to be stored beside `included` in one transaction."""
        return self._accumulator.to_bytes()

    def receive_share_keys(self, data: bytes, *, sender: bytes | None = None, trusted: bool = False) -> None:
        self._machine.expect(BucketEvent.SHARES)
        message = steps.accept_share_keys(self.bucket, data, sender=sender, trusted=trusted)
        if not self._once.is_repeat(message.KIND, message.sender, data):
            self._share_keys[self.bucket.position(message.sender)] = message
        self._machine.receive(BucketEvent.SHARES)

    def close_shares(self) -> dict[int, bytes]:
        """U1 is fixed; the ShareBundle of every joined wallet by position.

        Raises:
            Abort: too few; the bucket is over.
        """
        self._machine.advance(BucketEvent.CLOSE_SHARES)
        self.joined = self._or_abort(lambda: steps.close_share_keys(self.bucket, self._share_keys))
        return steps.bundles_for(self.bucket, self._share_keys, self.joined, self.joined)

    def receive_masked(self, data: bytes, *, sender: bytes | None = None, trusted: bool = False) -> None:
        """Add a masked input to the sum; the vector itself is not kept."""
        self._machine.expect(BucketEvent.INPUT)
        message = steps.accept_masked(self.bucket, data, joined=self.joined, sender=sender, trusted=trusted)
        position = self.bucket.position(message.sender)
        # With the header and the sender, these two are all of the message; the vector is not hashed twice.
        if not self._once.is_repeat(message.KIND, message.sender, message.signature + message.y_hash):
            if position in self._included:
                # Restored from a stored sum: its bytes are not known any more, so nothing is added twice.
                raise RemoteProtocolError(Fault.DUPLICATE, "this wallet's input is in the sum")
            self._accumulator.add(message.y)
            self._included.add(position)
        self._machine.receive(BucketEvent.INPUT)

    def close_inputs(self) -> tuple[int, ...]:
        """U2 is fixed.

        Raises:
            Abort: below bucket_min or threshold; the bucket is over and nothing was revealed.
        """
        self._machine.advance(BucketEvent.CLOSE_INPUTS)
        self._or_abort(lambda: steps.check_survivors(self.bucket, self.joined, self._included))
        return self.included

    def survivors_signed(self, survivors: Survivors) -> bytes:
        """The signed list of this bucket, to be sent to every survivor."""
        if survivors.bucket != self.bucket.index or survivors.positions != self.included:
            raise RemoteProtocolError(Fault.WRONG_LIST, "these are not this bucket's survivors")
        self._machine.advance(BucketEvent.SIGNED)
        self._survivors = survivors
        return survivors.to_bytes()

    def receive_consistency(self, data: bytes, *, sender: bytes | None = None, trusted: bool = False) -> None:
        self._machine.expect(BucketEvent.AGREEMENT)
        message = steps.accept_consistency(
            self.bucket, self._signed_survivors(), data, sender=sender, trusted=trusted
        )
        if not self._once.is_repeat(message.KIND, message.sender, data):
            self._consistencies[self.bucket.position(message.sender)] = message
        self._machine.receive(BucketEvent.AGREEMENT)

    def close_consistency(self) -> dict[int, bytes]:
        """The ConsistencySet of every survivor that agreed, by position.

        Raises:
            Abort: fewer than t agreed around some survivor; the bucket is over and nothing was revealed.
        """
        self._machine.advance(BucketEvent.CLOSE_AGREEMENTS)
        survivors, agreed = self._signed_survivors(), self._consistencies
        return self._or_abort(lambda: steps.consistency_sets(self.bucket, survivors, agreed))

    def receive_unmask(self, data: bytes, *, sender: bytes | None = None, trusted: bool = False) -> None:
        self._machine.expect(BucketEvent.REVEAL)
        message = steps.accept_unmask(
            self.bucket, self._signed_survivors(), self.joined, data, sender=sender, trusted=trusted
        )
        if not self._once.is_repeat(message.KIND, message.sender, data):
            self._unmasks[self.bucket.position(message.sender)] = message
        self._machine.receive(BucketEvent.REVEAL)

    def finish(self, executor: Executor | None = None) -> BucketSum:
        """The bucket's sum; everything else is erased.

        Raises:
            Abort: the sum cannot be computed or is not right; everything is erased.
        """
        self._machine.check(BucketEvent.FINISH)
        survivors, accumulator = self._signed_survivors(), self._accumulator
        result = self._or_abort(
            lambda: unmask(
                self.bucket,
                self._share_keys,
                self.joined,
                survivors,
                self._unmasks,
                accumulator,
                executor=executor,
            )
        )
        self._machine.advance(BucketEvent.FINISH)
        self._erase()
        return result

    def abort(self, reason: Abort) -> None:
        """End without a sum and erase everything."""
        self._machine.advance(BucketEvent.ABORT)
        self.abort_reason = reason
        self._erase()

    def _signed_survivors(self) -> Survivors:
        assert self._survivors is not None
        return self._survivors

    def _or_abort(self, step: Callable[[], T]) -> T:
        try:
            return step()
        except Abort as reason:
            self.abort(reason)
            raise

    def _erase(self) -> None:
        self._accumulator.erase()
        self._share_keys, self._consistencies, self._unmasks = {}, {}, {}
