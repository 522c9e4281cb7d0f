"""A round held in memory: all its buckets, two signatures of the distributor, one release."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from aggregation.secagg.errors import Abort, AbortReason, Fault, RemoteProtocolError
from aggregation.secagg.messages import Advertise, Header
from aggregation.secagg.phases import ROUND, BucketPhase, Machine, RoundEvent, RoundPhase
from aggregation.secagg.server import steps
from aggregation.secagg.server.bucket import BucketServer, Once
from aggregation.secagg.server.members import MemberLog
from aggregation.secagg.server.roster import Roster, accept_advertise, assign_buckets
from aggregation.secagg.server.unmasking import BucketSum

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RoundSum:
    """What a round ends with: the sums of the buckets that succeeded, and why the others did not."""

    sums: Mapping[int, BucketSum]
    failed: Mapping[int, Abort]

    @property
    def count(self) -> int:
        return sum(bucket.count for bucket in self.sums.values())


class RoundServer:
    """All buckets of one round. The operator asks the distributor for the two signatures and knows when phases close."""

    def __init__(self, header: Header, *, log: MemberLog, randomness: bytes) -> None:
        self.header = header
        self._log = log
        self._randomness = randomness
        self._machine = Machine(ROUND, RoundPhase.ADVERTISE)
        self._once = Once()
        self._advertises: dict[bytes, Advertise] = {}
        self._roster: Roster | None = None
        self._statement: steps.SurvivorStatement | None = None
        self.buckets: tuple[BucketServer, ...] = ()

    @property
    def phase(self) -> RoundPhase:
        return self._machine.phase

    def receive_advertise(self, data: bytes, *, now: int, sender: bytes | None = None) -> None:
        self._machine.expect(RoundEvent.ADVERTISED)
        message = accept_advertise(self.header, data, log=self._log, now=now, sender=sender)
        if not self._once.is_repeat(message.KIND, message.sender, data):
            self._advertises[message.sender] = message
        self._machine.receive(RoundEvent.ADVERTISED)

    def close_advertise(self) -> bytes:
        """The signing request for the lists.

        Raises:
            Abort: too few wallets; the round is over.
        """
        self._machine.advance(RoundEvent.CLOSE_ADVERTISE)
        self._roster = self._or_abort(
            lambda: assign_buckets(
                self.header, self._advertises.values(), log=self._log, randomness=self._randomness
            )
        )
        return self._roster.request()

    def lists_signed(self, signature: bytes) -> dict[bytes, bytes]:
        """The AdvertiseList of every wallet, by job key; the buckets are open for ShareKeys."""
        self._machine.check(RoundEvent.LISTS_SIGNED)
        assert self._roster is not None
        self._roster = self._roster.signed(signature)
        self._machine.advance(RoundEvent.LISTS_SIGNED)
        self.buckets = tuple(BucketServer(bucket) for bucket in self._roster.buckets)
        return {m.job_key: b.list_for(p) for b in self._roster.buckets for p, m in enumerate(b.members)}

    def locate(self, job_key: bytes) -> tuple[BucketServer, int]:
        """The bucket of a wallet and its position there."""
        if self._roster is None or not self.buckets:
            raise RemoteProtocolError(Fault.OUT_OF_ORDER, "there are no buckets yet")
        bucket, position = self._roster.locate(job_key)
        return self.buckets[bucket.index], position

    def close_inputs(self) -> bytes:
        """Close the masked inputs of every bucket; the signing request for the survivors.

        Raises:
            Abort: the buckets that are left hold fewer wallets than release_min; the round is over.
        """
        self._machine.advance(RoundEvent.INPUTS_CLOSED)
        roster, survivors = self._roster, {}
        assert roster is not None
        for bucket in self.buckets:
            with suppress(Abort):
                if bucket.phase is BucketPhase.MASKED_INPUT:
                    survivors[bucket.bucket.index] = bucket.close_inputs()
        self._statement = self._or_abort(lambda: steps.close_masked(roster, survivors))
        return self._statement.request()

    def survivors_signed(self, signature: bytes) -> dict[int, bytes]:
        """The Survivors message of every bucket that is left, by bucket index."""
        self._machine.check(RoundEvent.SURVIVORS_SIGNED)
        assert self._statement is not None
        statement = self._statement.signed(signature)
        self._machine.advance(RoundEvent.SURVIVORS_SIGNED)
        left = [b for b in self.buckets if b.phase is BucketPhase.WAITING]
        return {b.bucket.index: b.survivors_signed(statement.for_bucket(b.bucket.index)) for b in left}

    def release(self, executor: Executor | None = None) -> RoundSum:
        """Finish every bucket that reached unmasking; release only if enough wallets are left.

        Raises:
            Abort: the sums that came out hold fewer wallets than release_min; they are dropped.
        """
        self._machine.check(RoundEvent.RELEASE)
        sums: dict[int, BucketSum] = {}
        for bucket in self.buckets:
            with suppress(Abort):
                if bucket.phase is BucketPhase.UNMASK:
                    sums[bucket.bucket.index] = bucket.finish(executor)
        failed = {b.bucket.index: b.abort_reason for b in self.buckets if b.abort_reason is not None}
        result = RoundSum(sums=sums, failed=failed)
        if result.count < self.header.release_min:
            detail = f"{result.count} of at least {self.header.release_min}"
            self.abort(Abort(AbortReason.BELOW_RELEASE_MIN, detail))
            raise Abort(AbortReason.BELOW_RELEASE_MIN, detail)
        self._machine.advance(RoundEvent.RELEASE)
        return result

    def abort(self, reason: Abort) -> None:
        """End the round; buckets that have not ended are aborted and erased."""
        self._machine.advance(RoundEvent.ABORT)
        for bucket in self.buckets:
            if bucket.phase not in (BucketPhase.DONE, BucketPhase.ABORTED):
                bucket.abort(reason)

    def _or_abort(self, step: Callable[[], T]) -> T:
        try:
            return step()
        except Abort as reason:
            self.abort(reason)
            raise
