"""Every way the protocol says no, by name.

Two roots, as in h11: `LocalProtocolError` means our own caller did something the protocol does not allow;
`RemoteProtocolError` means a message was not what it should be. `Abort` ends a bucket or a round without a sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from aggregation.wire.errors import WireError


class Reason(Enum):
    """A reason: its value is the code on the wire and in ledgers, its sentence is for people."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> Reason:
        member = object.__new__(cls)
        member._value_ = code
        member.sentence = sentence
        return member


class Fault(Reason):
    """Why a message is dropped or a wallet stops."""

    # both sides
    MALFORMED = "malformed", "The message is not in the form the protocol defines."
    OUT_OF_RANGE = "out_of_range", "A field of the message lies outside its allowed range."
    OUT_OF_ORDER = "out_of_order", "The message does not belong to the phase that is running."
    WRONG_ROUND = "wrong_round", "The message belongs to another round, job or bucket."
    WRONG_LIST = "wrong_list", "The message refers to another member list."
    BAD_KEY = "bad_key", "A public key is not usable."
    BAD_SIGNATURE = "bad_signature", "A signature does not fit its key and content."
    BAD_PROOF = "bad_proof", "A member is not in the job's frozen enrolment log."
    EXPIRED = "expired", "The job key has expired; enrol again for the next job."
    DUPLICATE = "duplicate", "A member, key or share appears twice."
    STRANGER = "stranger", "The message names a wallet that has no part in this."
    WRONG_SENDER = "wrong_sender", "The message names another sender than its connection proved."
    CLOSED = "closed", "This machine is closed; it takes no further part in the round."
    # wallet
    BAD_POLICY = "bad_policy", "The header asks for less protection than the protocol allows."
    NOT_LISTED = "not_listed", "The member list does not contain this wallet with the key it sent."
    TOO_FEW_MEMBERS = "too_few_members", "The bucket has fewer wallets than the header's minimum."
    TOO_FEW_SHARES = "too_few_shares", "Fewer neighbours than the threshold hold shares of this wallet."
    NOT_A_SURVIVOR = "not_a_survivor", "The survivor list does not contain this wallet."
    NOT_A_SUBSET = "not_a_subset", "The survivor list names a wallet that did not join."
    BELOW_BUCKET_MIN = "below_bucket_min", "The survivors of the bucket are fewer than its minimum."
    BELOW_RELEASE_MIN = "below_release_min", "The survivors of the round are fewer than its release minimum."
    TOO_FEW_AGREE = "too_few_agree", "Fewer neighbours than the threshold agreed on the survivors."
    ALREADY_REVEALED = (
        "already_revealed",
        "Shares of this round were revealed before; they are never revealed twice.",
    )
    WRONG_UPDATE = "wrong_update", "The update has the wrong length or values that do not fit the quantiser."
    # server
    WRONG_ENROLMENT = "wrong_enrolment", "The enrolment is for another job, collective or algorithm."
    WRONG_RECEIPT = "wrong_receipt", "The receipt is for another round, wallet or requirement."
    NOT_ENROLLED = "not_enrolled", "The job key is not in the job's frozen enrolment log."
    WRONG_SHARES = "wrong_shares", "The shares are not exactly those this wallet was asked for."
    WRONG_SIZE = "wrong_size", "The masked input has the wrong size."


class AbortReason(Reason):
    """Why a bucket, or the whole round, ends without a sum."""

    TOO_FEW_MEMBERS = "too_few_members", "Too few wallets answered; nothing was shared."
    TOO_FEW_JOINED = "too_few_joined", "Too few wallets shared their keys; nothing was masked."
    BELOW_THRESHOLD = "below_threshold", "Too few neighbours are left to unmask; nothing was revealed."
    BELOW_BUCKET_MIN = (
        "below_bucket_min",
        "Fewer wallets than the bucket's minimum sent an input; nothing was revealed.",
    )
    BELOW_RELEASE_MIN = (
        "below_release_min",
        "Fewer wallets than the release minimum are left; nothing is released.",
    )
    TOO_FEW_AGREE = "too_few_agree", "Too few wallets agreed on the survivors; nothing was revealed."
    TOO_FEW_UNMASK = "too_few_unmask", "Too few wallets answered the unmasking; nothing was computed."
    BAD_SHARES = (
        "bad_shares",
        "The shares of a wallet do not fit what it committed to; the bucket is dropped.",
    )
    BAD_ESCROW = "bad_escrow", "The escrow box of a lost wallet does not open; the bucket is dropped."
    WRONG_COUNT = "wrong_count", "The sum's count differs from the survivors; the bucket is dropped."
    WRONG_CHECKSUM = "wrong_checksum", "The sum's checksum does not fit; the bucket is dropped."
    WRAPPED = "wrapped", "The sum exceeds what so many wallets can contribute; the bucket is dropped."


class ProtocolError(WireError):
    """The root of both. `reason` is a member of `Fault` or `AbortReason`; `code` its value."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(
            f"{reason.sentence} ({detail})" if detail else reason.sentence, code=str(reason.value)
        )
        self.reason = reason
        self.detail = detail


class LocalProtocolError(ProtocolError):
    """Our own caller asked for something the protocol does not allow here."""


class RemoteProtocolError(ProtocolError):
    """What arrived is not acceptable."""


class Abort(RemoteProtocolError):
    """A bucket or a round ends without a sum. `culprits`: positions of wallets whose messages were wrong, if known."""

    def __init__(self, reason: AbortReason, detail: str = "", *, culprits: Iterable[int] = ()) -> None:
        super().__init__(reason, detail)
        self.culprits = tuple(culprits)
