"""What the aggregator keeps. Keys and hashes are lowercase hex, times integer unix seconds, ids of other domains plain UUIDs.

`jobs`: who may take part. `rounds`: one round's working state, erased at its end but for counts. `ledger`: visits, where to
pay, what was stated. `standing`: evidence of tampering, and who is not asked any more.
"""

from aggregation.server.models.jobs import ALIAS, Job, Member
from aggregation.server.models.ledger import (
    Balance,
    Epoch,
    JobTotal,
    PayoutAddress,
    Sale,
    Shares,
    Unopened,
    Visit,
)
from aggregation.server.models.rounds import (
    Bucket,
    MaskedInput,
    Participant,
    PhaseMessage,
    Round,
    RoundTransition,
    SigningRequest,
)
from aggregation.server.models.standing import Exclusion, Suspicion

__all__ = [
    "ALIAS",
    "Balance",
    "Bucket",
    "Epoch",
    "Exclusion",
    "Job",
    "JobTotal",
    "MaskedInput",
    "Member",
    "Participant",
    "PayoutAddress",
    "PhaseMessage",
    "Round",
    "RoundTransition",
    "Sale",
    "Shares",
    "SigningRequest",
    "Suspicion",
    "Unopened",
    "Visit",
]
