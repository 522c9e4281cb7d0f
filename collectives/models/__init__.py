"""Rows of the collective domain. Every write goes through `collectives.services`; these only hold and constrain."""

from __future__ import annotations

from collectives.models.algorithms import Admission, Algorithm
from collectives.models.audits import Audit
from collectives.models.collectives import Collective, TermsVersion
from collectives.models.jobs import Checkpoint, Job, JobTransition, Round
from collectives.models.outgoing import OutgoingCall
from collectives.models.presence import PresenceStatement
from collectives.models.subscriptions import NoticeAnswer, Subscription

__all__ = [
    "Admission",
    "Algorithm",
    "Audit",
    "Checkpoint",
    "Collective",
    "Job",
    "JobTransition",
    "NoticeAnswer",
    "OutgoingCall",
    "PresenceStatement",
    "Round",
    "Subscription",
    "TermsVersion",
]
