"""Who may take part: the job's frozen enrolment log, and the statements wallets sign with their subscription key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aggregation.secagg.errors import Fault, LocalProtocolError, RemoteProtocolError
from aggregation.secagg.messages import Enrolment, Header, PresenceReceipt
from aggregation.wire.merkle import MerkleLog


@dataclass(frozen=True, kw_only=True)
class LogEntry:
    """A job key's place in the log."""

    index: int
    expires: int
    subscription_key: bytes


class MemberLog:
    """The enrolment log of a job, in log order; frozen."""

    def __init__(self, *, job: bytes, enrolments: Iterable[Enrolment]) -> None:
        """Raises:
        LocalProtocolError: an enrolment is for another job, or a job key is enrolled twice.
        """
        self.job = job
        self._entries: dict[bytes, LogEntry] = {}
        leaves = []
        for index, enrolment in enumerate(enrolments):
            if enrolment.job != job:
                raise LocalProtocolError(Fault.WRONG_ENROLMENT, "an enrolment is for another job")
            if enrolment.job_key in self._entries:
                raise LocalProtocolError(Fault.DUPLICATE, "a job key is enrolled twice")
            self._entries[enrolment.job_key] = LogEntry(
                index=index, expires=enrolment.expires, subscription_key=enrolment.subscription_key
            )
            leaves.append(enrolment.leaf())
        self._tree = MerkleLog(leaves)

    @property
    def root(self) -> bytes:
        return self._tree.root

    @property
    def size(self) -> int:
        return len(self._tree)

    def entry(self, job_key: bytes) -> LogEntry:
        """Raises:
        RemoteProtocolError: the job key is not enrolled.
        """
        try:
            return self._entries[job_key]
        except KeyError:
            raise RemoteProtocolError(Fault.NOT_ENROLLED) from None

    def proof(self, index: int) -> tuple[bytes, ...]:
        return tuple(self._tree.proof(index))


def accept_enrolment(
    data: bytes, *, job: bytes, collective: bytes, manifest_hash: bytes, now: int
) -> Enrolment:
    """An enrolment for this job; the caller still checks that the subscription stands.

    Raises:
        RemoteProtocolError: malformed, for something else, expired, or not signed by its subscription key.
    """
    enrolment = Enrolment.from_bytes(data)
    if (enrolment.job, enrolment.collective, enrolment.manifest_hash) != (job, collective, manifest_hash):
        raise RemoteProtocolError(Fault.WRONG_ENROLMENT)
    if enrolment.expires <= now:
        raise RemoteProtocolError(Fault.EXPIRED)
    enrolment.verify()
    return enrolment


def accept_receipt(
    header: Header, data: bytes, *, job_key: bytes, collective: bytes, requirement_hash: bytes
) -> PresenceReceipt:
    """A presence receipt for this round by the wallet with this job key.

    The caller still compares `subscription_key` with the job key's enrolment and `ticket` with the delivery.

    Raises:
        RemoteProtocolError: malformed, for something else, or not signed by its subscription key.
    """
    receipt = PresenceReceipt.from_bytes(data)
    stated = (receipt.job, receipt.round, receipt.header_hash, receipt.collective, receipt.requirement_hash)
    if stated != (header.job, header.round, header.hash(), collective, requirement_hash):
        raise RemoteProtocolError(Fault.WRONG_RECEIPT)
    if receipt.job_key != job_key:
        raise RemoteProtocolError(Fault.WRONG_SENDER)
    receipt.verify()
    return receipt
