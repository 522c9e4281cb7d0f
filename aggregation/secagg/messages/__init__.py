"""The messages of the protocol: frozen, validated when built, strict when decoded. `docs/protocol/secagg.md` has the formats."""

from aggregation.secagg.messages.codec import Message, SignedMessage
from aggregation.secagg.messages.header import Header, PhaseSeconds
from aggregation.secagg.messages.lists import (
    Advertise,
    AdvertiseList,
    Evidence,
    ListsRequest,
    Member,
    Survivors,
    SurvivorsRequest,
    assignment,
    cohort_randomness,
)
from aggregation.secagg.messages.masked import (
    MaskedClaim,
    masked_input_bytes,
    read_behind_vector,
    read_to_vector,
)
from aggregation.secagg.messages.phases import (
    Agreement,
    Consistency,
    ConsistencySet,
    EscrowShare,
    MaskedInput,
    RevealedShare,
    SealedShare,
    SelfShare,
    ShareBundle,
    ShareKeys,
    Unmask,
)
from aggregation.secagg.messages.signed import (
    LONGEST_APPEAL,
    Appeal,
    Enrolment,
    PayoutOpening,
    PresenceReceipt,
    log_leaf,
)

__all__ = [
    "LONGEST_APPEAL",
    "Advertise",
    "AdvertiseList",
    "Agreement",
    "Appeal",
    "Consistency",
    "ConsistencySet",
    "Enrolment",
    "EscrowShare",
    "Evidence",
    "Header",
    "ListsRequest",
    "MaskedClaim",
    "MaskedInput",
    "Member",
    "Message",
    "PayoutOpening",
    "PhaseSeconds",
    "PresenceReceipt",
    "RevealedShare",
    "SealedShare",
    "SelfShare",
    "ShareBundle",
    "ShareKeys",
    "SignedMessage",
    "Survivors",
    "SurvivorsRequest",
    "Unmask",
    "assignment",
    "cohort_randomness",
    "log_leaf",
    "masked_input_bytes",
    "read_behind_vector",
    "read_to_vector",
]
