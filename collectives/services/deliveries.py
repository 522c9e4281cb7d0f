"""To how many wallets a notice was delivered. The distributor counts; it says numbers, never which wallets."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db.models import F, Q

from collectives import clients
from collectives.errors import ServiceRefused, ServiceUnavailable
from collectives.models import Admission

AGAIN = timedelta(seconds=30)
"""No notice is counted more often: a number that follows each wallet would tell when which one is online."""
AFTERWARDS = timedelta(days=7)
"""Wallets that were away during the whole period still get their notice; so long their number is kept up."""
BATCH = 50

log = structlog.get_logger(__name__)


def count_due(now: datetime) -> int:
    """Ask the distributor about notices that run or just ran, the longest uncounted first; returns how many were counted."""
    due = Admission.objects.exclude(status=Admission.Status.WITHDRAWN).filter(
        Q(counted_at__isnull=True) | Q(counted_at__lte=now - AGAIN), effective_at__gt=now - AFTERWARDS
    )
    counted = 0
    for admission in due.order_by(F("counted_at").asc(nulls_first=True))[:BATCH]:
        try:
            counted += _count(admission, now)
        except ServiceUnavailable as error:
            log.info("notices_not_counted", detail=str(error))
            break
    return counted


def _count(admission: Admission, now: datetime) -> bool:
    """Raises:
    ServiceUnavailable: the distributor does not answer now.
    """
    row = Admission.objects.filter(pk=admission.pk)
    path = f"/collectives/{admission.collective_id}/notices/{admission.pk}"
    try:
        found = int(clients.distributor().call("GET", path)["delivered"])
    except ServiceRefused:  # it has not got the notice, because none was needed or it is still on its way
        row.update(counted_at=now)
        return False
    # Mail of a wallet that left is gone, but it was delivered.
    row.update(counted_at=now, delivered=max(found, admission.delivered or 0))
    return True
