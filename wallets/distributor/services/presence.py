"""Who is connected: written in batches, read when a cohort is drawn."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from wallets.distributor import config
from wallets.distributor.models import ALIAS, Presence

OLDEST = 3 * config.HEARTBEAT_SECONDS
"""A connected row older than this belongs to a process that died."""


@transaction.atomic(using=ALIAS)
def note(states: dict[str, bool]) -> None:
    """Store key -> connected, as of now."""
    now = config.now()
    # In one order everywhere: two processes that write the same rows in different orders would wait for each other.
    Presence.objects.bulk_create(
        [Presence(key=key, connected=connected, last_seen=now) for key, connected in sorted(states.items())],
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=["connected", "last_seen"],
        batch_size=300,
    )


def connected(keys: Iterable[str] | None = None) -> set[str]:
    """Keys that are connected now, of all or of the given ones."""
    rows = Presence.objects.filter(connected=True, last_seen__gte=config.now() - OLDEST)
    if keys is not None:
        rows = rows.filter(key__in=list(keys))
    return set(rows.values_list("key", flat=True))
