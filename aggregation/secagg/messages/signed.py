"""Statements signed by the subscription key: who may take part (Enrolment), that data was present (PresenceReceipt), where to
pay (PayoutOpening), and what a holder says to an exclusion (Appeal). Each carries the subscription key; the receiver compares the fields with what it expects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from aggregation.secagg.messages.codec import Invalid, SignedMessage, check_blob, check_bytes, check_int
from aggregation.secagg.messages.lists import LATEST
from aggregation.wire import cbor, signing
from aggregation.wire.errors import BadKey
from aggregation.wire.secret import Secret

LONGEST_APPEAL = 1000


def log_leaf(*, job: bytes, job_key: bytes, expires: int) -> bytes:
    """The leaf of a job's enrolment log. It names no subscription, so that neighbours can check it and learn nothing."""
    return cbor.encode({"job": job, "job_key": job_key, "expires": expires})


@dataclass(frozen=True, kw_only=True)
class SubscriptionSigned(SignedMessage):
    """Signed by `subscription_key`."""

    subscription_key: bytes

    @classmethod
    def sign(cls, private: Secret, **values: Any) -> Self:
        return cls._signed(private, subscription_key=signing.public_key(private), **values)

    def verify(self) -> None:
        """Raises:
        RemoteProtocolError: the signature is not the subscription key's.
        """
        self.verify_by(self.subscription_key)

    def _check_lengths(self, **lengths: int) -> None:
        for name, length in {"subscription_key": 32, "signature": 64, **lengths}.items():
            check_bytes(getattr(self, name), length, name)


@dataclass(frozen=True, kw_only=True)
class Enrolment(SubscriptionSigned):
    """Wallet to distributor, once per job: this job key stands for this subscription."""

    KIND: ClassVar[str] = "enrolment"
    LABEL: ClassVar[bytes] = b"cssi/v1/enrolment"

    job: bytes
    collective: bytes
    manifest_hash: bytes
    job_key: bytes
    expires: int
    """Unix seconds; the job key signs nothing that counts afterwards."""

    def leaf(self) -> bytes:
        return log_leaf(job=self.job, job_key=self.job_key, expires=self.expires)

    def _validate(self) -> None:
        self._check_lengths(job=16, collective=16, manifest_hash=32, job_key=32)
        check_int(self.expires, 0, LATEST, "expires")
        try:
            signing.check_public_key(self.job_key)
        except BadKey as error:
            raise Invalid(str(error)) from None


@dataclass(frozen=True, kw_only=True)
class PresenceReceipt(SubscriptionSigned):
    """Wallet to aggregator, before training: the required data was present. This is what is paid."""

    KIND: ClassVar[str] = "presence-receipt"
    LABEL: ClassVar[bytes] = b"cssi/v1/receipt"

    job: bytes
    round: int
    collective: bytes
    requirement_hash: bytes
    data_commitment: bytes
    header_hash: bytes
    job_key: bytes
    ticket: bytes
    """16 bytes from the distributor's delivery."""

    def _validate(self) -> None:
        self._check_lengths(
            job=16,
            collective=16,
            requirement_hash=32,
            data_commitment=32,
            header_hash=32,
            job_key=32,
            ticket=16,
        )
        check_int(self.round, 1, 1 << 31, "round")


@dataclass(frozen=True, kw_only=True)
class PayoutOpening(SubscriptionSigned):
    """Wallet to aggregator, apart from visits: the address behind the payout hash of an agreement."""

    KIND: ClassVar[str] = "payout-opening"
    LABEL: ClassVar[bytes] = b"cssi/v1/payout-opening"

    address: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    agreement_hash: bytes

    def _validate(self) -> None:
        self._check_lengths(address=20, salt=32, agreement_hash=32)


@dataclass(frozen=True, kw_only=True)
class Appeal(SubscriptionSigned):
    """Wallet to aggregator: why this wallet should be asked again."""

    KIND: ClassVar[str] = "appeal"
    LABEL: ClassVar[bytes] = b"cssi/v1/appeal"

    collective: bytes
    text: bytes
    """UTF-8, at most LONGEST_APPEAL characters."""
    created: int

    def _validate(self) -> None:
        self._check_lengths(collective=16)
        check_int(self.created, 0, LATEST, "created")
        check_blob(self.text, 4 * LONGEST_APPEAL, "text")
        try:
            words = self.text.decode()
        except UnicodeDecodeError:
            raise Invalid("the text of an appeal is not UTF-8") from None
        if not 1 <= len(words) <= LONGEST_APPEAL:
            raise Invalid(f"an appeal has 1 to {LONGEST_APPEAL} characters")
