"""One worker at a time drives a round; a worker that died is followed by another, and one that slept commits nothing.

The claim is a conditional UPDATE that also raises the round's fence. Whatever the holder commits is guarded by that fence. The lease is
renewed by a thread of its own, so that a long computation does not lose it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connections, transaction
from django.db.models import F, Q

from aggregation.server import config
from aggregation.server.errors import LeaseLost
from aggregation.server.models import ALIAS, Round
from aggregation.server.services.transitions import locked


@dataclass(frozen=True, kw_only=True)
class Lease:
    round: int
    fence: int

    @contextmanager
    def commit(self) -> Iterator[Round]:
        """A transaction that holds the round's row.

        Raises:
            LeaseLost: another worker claimed the round; nothing is written.
        """
        with transaction.atomic(using=ALIAS):
            row = locked(self.round)
            if row.fence != self.fence:
                raise LeaseLost
            yield row


@contextmanager
def claim(round_id: int) -> Iterator[Lease | None]:
    """The lease, or None while another worker holds it.

    A lease that reaches further than any can was given before the clock was set back; its holder is fenced off. The round's times
    are then put right too: its step gets its time again from now, or it would wait for an hour that has passed already.
    """
    with transaction.atomic(using=ALIAS):
        now = config.precise_now()
        free = Q(lease_until__lt=now) | Q(lease_until__gt=now + 2 * config.LEASE_SECONDS)
        claimed = Round.objects.filter(free, pk=round_id).update(
            lease_until=now + config.LEASE_SECONDS, fence=F("fence") + 1
        )
        if claimed:
            seen = config.now()
            Round.objects.filter(pk=round_id, since__gt=seen + 1).update(
                deadline=F("deadline") - F("since") + seen, since=seen
            )
        fence = Round.objects.values_list("fence", flat=True).get(pk=round_id) if claimed else 0
    if not claimed:
        yield None
        return
    lease = Lease(round=round_id, fence=fence)
    stopped = threading.Event()
    keeper = threading.Thread(target=_keep, args=(lease, stopped), daemon=True)
    keeper.start()
    try:
        yield lease
    finally:
        stopped.set()
        Round.objects.filter(pk=round_id, fence=fence).update(lease_until=0)


def _keep(lease: Lease, stopped: threading.Event) -> None:
    try:
        while not stopped.wait(config.LEASE_SECONDS / 3):
            until = config.precise_now() + config.LEASE_SECONDS
            if not Round.objects.filter(pk=lease.round, fence=lease.fence).update(lease_until=until):
                return
    finally:
        connections.close_all()
