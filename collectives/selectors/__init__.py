"""Reads of the collective domain for pages and APIs, one module per topic. Counts of people leave here in steps only."""

from __future__ import annotations

from collectives.selectors.catalogue import (
    Card,
    active_algorithms,
    algorithm,
    card,
    names,
    owned_by,
    public_collectives,
    terms_envelope,
)
from collectives.selectors.console import (
    VersionUse,
    algorithms_by,
    announceable,
    enough_subscribers,
    owned,
    terms_at,
    version_by_hash,
    versions,
)
from collectives.selectors.jobs import (
    CLOSED,
    checkpoints,
    closed_rounds,
    job,
    job_live,
    jobs_by_id,
    jobs_of,
    orders_decided,
    orders_waiting,
)
from collectives.selectors.notices import (
    NoticeNumbers,
    admissions,
    answered,
    notice,
    notice_numbers,
    notices_for,
    running_notices,
    willing,
)
from collectives.selectors.steps import STEPS, bucketed
from collectives.selectors.subscriptions import (
    agreements_for_epoch,
    revoked_agreements,
    stop_is_pending,
    subscription_state,
)

__all__ = [
    "CLOSED",
    "STEPS",
    "Card",
    "NoticeNumbers",
    "VersionUse",
    "active_algorithms",
    "admissions",
    "agreements_for_epoch",
    "algorithm",
    "algorithms_by",
    "announceable",
    "answered",
    "bucketed",
    "card",
    "checkpoints",
    "closed_rounds",
    "enough_subscribers",
    "job",
    "job_live",
    "jobs_by_id",
    "jobs_of",
    "names",
    "notice",
    "notice_numbers",
    "notices_for",
    "orders_decided",
    "orders_waiting",
    "owned",
    "owned_by",
    "public_collectives",
    "revoked_agreements",
    "running_notices",
    "stop_is_pending",
    "subscription_state",
    "terms_at",
    "terms_envelope",
    "version_by_hash",
    "versions",
    "willing",
]
