"""The aggregator's side of a round, sans-IO: pure steps over stored messages, and machines that hold a bucket or a round."""

from aggregation.secagg.messages import cohort_randomness
from aggregation.secagg.server.bucket import BucketServer
from aggregation.secagg.server.members import LogEntry, MemberLog, accept_enrolment, accept_receipt
from aggregation.secagg.server.roster import Bucket, Roster, accept_advertise, assign_buckets
from aggregation.secagg.server.round import RoundServer, RoundSum
from aggregation.secagg.server.steps import (
    SurvivorStatement,
    accept_consistency,
    accept_masked,
    accept_masked_pieces,
    accept_share_keys,
    accept_unmask,
    bundle_for,
    bundles_for,
    check_survivors,
    close_masked,
    close_share_keys,
    consistency_for,
    consistency_sets,
)
from aggregation.secagg.server.unmasking import BucketSum, enough_to_unmask, unmask
from aggregation.secagg.vectors import Accumulator

__all__ = [
    "Accumulator",
    "Bucket",
    "BucketServer",
    "BucketSum",
    "LogEntry",
    "MemberLog",
    "Roster",
    "RoundServer",
    "RoundSum",
    "SurvivorStatement",
    "accept_advertise",
    "accept_consistency",
    "accept_enrolment",
    "accept_masked",
    "accept_masked_pieces",
    "accept_receipt",
    "accept_share_keys",
    "accept_unmask",
    "assign_buckets",
    "bundle_for",
    "bundles_for",
    "check_survivors",
    "close_masked",
    "close_share_keys",
    "cohort_randomness",
    "consistency_for",
    "consistency_sets",
    "enough_to_unmask",
    "unmask",
]
