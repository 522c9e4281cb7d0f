"""The phases of a wallet, of a bucket at the server and of a round, as data.

Theory of operation
1. A table maps (phase, event) to the next phase. An event that has no row in the running phase is refused: from our own caller with
   LocalProtocolError, from a message with RemoteProtocolError. Nothing else decides about order.
2. The wallet has exactly one path, and every event of it is its last chance: a failure closes the machine, a closed one answers nothing.
   So a wallet masks one vector and reveals once because the table has one edge for each, not because a flag says so.
3. A bucket takes many messages inside a phase (the rows that stay where they are) and is moved by its operator, which knows the
   clock. It ends in DONE or ABORTED and never leaves them.
4. The round waits for all its buckets twice: for the signed lists and for the signed survivors with their total. A failed bucket does
   not end the round.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Generic, TypeVar

from aggregation.secagg.errors import Fault, LocalProtocolError, RemoteProtocolError


class Step(Enum):
    """Looked up several times for every message, so hashed by identity as it is compared, and not by name in Python."""

    __hash__ = object.__hash__


class WalletPhase(Step):
    """What the wallet has sent last."""

    START = "start"
    ADVERTISED = "advertised"
    SHARED = "shared"
    JOINED = "joined"
    MASKED = "masked"
    AGREED = "agreed"
    CLOSED = "closed"


class WalletEvent(Step):
    ADVERTISE = "advertise()"
    LIST = "AdvertiseList → ShareKeys"
    BUNDLE = "ShareBundle"
    MASK = "mask(update) → MaskedInput"
    SURVIVORS = "Survivors → Consistency"
    AGREEMENTS = "ConsistencySet → Unmask"
    CLOSE = "failure or close()"


WALLET: Mapping[tuple[WalletPhase, WalletEvent], WalletPhase] = {
    (WalletPhase.START, WalletEvent.ADVERTISE): WalletPhase.ADVERTISED,
    (WalletPhase.ADVERTISED, WalletEvent.LIST): WalletPhase.SHARED,
    (WalletPhase.SHARED, WalletEvent.BUNDLE): WalletPhase.JOINED,
    (WalletPhase.JOINED, WalletEvent.MASK): WalletPhase.MASKED,
    (WalletPhase.MASKED, WalletEvent.SURVIVORS): WalletPhase.AGREED,
    (WalletPhase.AGREED, WalletEvent.AGREEMENTS): WalletPhase.CLOSED,
    **{(phase, WalletEvent.CLOSE): WalletPhase.CLOSED for phase in WalletPhase},
}


class BucketPhase(Step):
    """What the bucket is taking."""

    SHARE_KEYS = "share_keys"
    MASKED_INPUT = "masked_input"
    WAITING = "waiting"
    CONSISTENCY = "consistency"
    UNMASK = "unmask"
    DONE = "done"
    ABORTED = "aborted"


class BucketEvent(Step):
    SHARES = "ShareKeys"
    CLOSE_SHARES = "close share keys"
    INPUT = "MaskedInput"
    CLOSE_INPUTS = "close masked inputs"
    SIGNED = "signed survivors"
    AGREEMENT = "Consistency"
    CLOSE_AGREEMENTS = "close consistency"
    REVEAL = "Unmask"
    FINISH = "compute the sum"
    ABORT = "abort"


_ENDED = (BucketPhase.DONE, BucketPhase.ABORTED)
BUCKET: Mapping[tuple[BucketPhase, BucketEvent], BucketPhase] = {
    (BucketPhase.SHARE_KEYS, BucketEvent.SHARES): BucketPhase.SHARE_KEYS,
    (BucketPhase.SHARE_KEYS, BucketEvent.CLOSE_SHARES): BucketPhase.MASKED_INPUT,
    (BucketPhase.MASKED_INPUT, BucketEvent.INPUT): BucketPhase.MASKED_INPUT,
    (BucketPhase.MASKED_INPUT, BucketEvent.CLOSE_INPUTS): BucketPhase.WAITING,
    (BucketPhase.WAITING, BucketEvent.SIGNED): BucketPhase.CONSISTENCY,
    (BucketPhase.CONSISTENCY, BucketEvent.AGREEMENT): BucketPhase.CONSISTENCY,
    (BucketPhase.CONSISTENCY, BucketEvent.CLOSE_AGREEMENTS): BucketPhase.UNMASK,
    (BucketPhase.UNMASK, BucketEvent.REVEAL): BucketPhase.UNMASK,
    (BucketPhase.UNMASK, BucketEvent.FINISH): BucketPhase.DONE,
    **{(phase, BucketEvent.ABORT): BucketPhase.ABORTED for phase in BucketPhase if phase not in _ENDED},
}


class RoundPhase(Step):
    """What the round is doing."""

    ADVERTISE = "advertise"
    LISTS = "lists"
    BUCKETS = "buckets"
    SURVIVORS = "survivors"
    UNMASKING = "unmasking"
    RELEASED = "released"
    ABORTED = "aborted"


class RoundEvent(Step):
    ADVERTISED = "Advertise"
    CLOSE_ADVERTISE = "close advertising"
    LISTS_SIGNED = "signed lists"
    INPUTS_CLOSED = "masked inputs of all buckets closed"
    SURVIVORS_SIGNED = "signed survivors"
    RELEASE = "release"
    ABORT = "abort"


ROUND: Mapping[tuple[RoundPhase, RoundEvent], RoundPhase] = {
    (RoundPhase.ADVERTISE, RoundEvent.ADVERTISED): RoundPhase.ADVERTISE,
    (RoundPhase.ADVERTISE, RoundEvent.CLOSE_ADVERTISE): RoundPhase.LISTS,
    (RoundPhase.LISTS, RoundEvent.LISTS_SIGNED): RoundPhase.BUCKETS,
    (RoundPhase.BUCKETS, RoundEvent.INPUTS_CLOSED): RoundPhase.SURVIVORS,
    (RoundPhase.SURVIVORS, RoundEvent.SURVIVORS_SIGNED): RoundPhase.UNMASKING,
    (RoundPhase.UNMASKING, RoundEvent.RELEASE): RoundPhase.RELEASED,
    **{
        (phase, RoundEvent.ABORT): RoundPhase.ABORTED
        for phase in RoundPhase
        if phase not in (RoundPhase.RELEASED, RoundPhase.ABORTED)
    },
}

P = TypeVar("P", bound=Enum)
E = TypeVar("E", bound=Enum)


class Machine(Generic[P, E]):
    """A phase that only its table can change."""

    def __init__(self, table: Mapping[tuple[P, E], P], start: P) -> None:
        self._table = table
        self.phase = start

    def advance(self, event: E) -> None:
        """Follow our own caller's event.

        Raises:
            LocalProtocolError: the phase has no row for it.
        """
        self.phase = self._next(event, LocalProtocolError)

    def receive(self, event: E) -> None:
        """Follow the event of a message that passed its checks.

        Raises:
            RemoteProtocolError: the phase has no row for it.
        """
        self.phase = self._next(event, RemoteProtocolError)

    def check(self, event: E) -> None:
        """Ask before acting for our own caller whether the event has a row, and move later."""
        self._next(event, LocalProtocolError)

    def expect(self, event: E) -> None:
        """Ask before checking a message whether its event has a row, and move later."""
        self._next(event, RemoteProtocolError)

    def _next(self, event: E, error: type[LocalProtocolError | RemoteProtocolError]) -> P:
        try:
            return self._table[self.phase, event]
        except KeyError:
            detail = f"{event.value} in phase {self.phase.value}"
            raise error(Fault.OUT_OF_ORDER, detail) from None
