"""Who is connected: written in batches, read when a cohort is drawn."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connections, transaction

from wallets.distributor import config
from wallets.distributor.models import ALIAS, Presence

AT_ONCE = 500
_NOTE = (
    f"INSERT INTO {Presence._meta.db_table} (key, connected, last_seen) VALUES {{rows}} "  # noqa: S608 - our own table
    "ON CONFLICT (key) DO UPDATE SET connected = excluded.connected, last_seen = excluded.last_seen"
)
OLDEST = 3 * config.HEARTBEAT_SECONDS
"""A connected row older than this belongs to a process that died."""


@transaction.atomic(using=ALIAS)
def note(states: dict[str, bool]) -> None:
    """Store key -> connected, as of now. Written without an object for each: at every heartbeat this is every key there is."""
    now = config.now()
    # In one order everywhere: two processes that write the same rows in different orders would wait for each other.
    rows = sorted(states.items())
    with connections[ALIAS].cursor() as cursor:
        for start in range(0, len(rows), AT_ONCE):
            part = rows[start : start + AT_ONCE]
            values = [value for key, connected in part for value in (key, connected, now)]
            cursor.execute(_NOTE.format(rows=", ".join(["(%s, %s, %s)"] * len(part))), values)


def connected(keys: Iterable[str] | None = None) -> set[str]:
    """Keys that are connected now, of all or of the given ones."""
    rows = Presence.objects.filter(connected=True, last_seen__gte=config.now() - OLDEST)
    if keys is not None:
        rows = rows.filter(key__in=list(keys))
    return set(rows.values_list("key", flat=True))
