"""Sockets of wallets: who holds one, in which process, and who lost it when a process died.

A process shows that it lives by a key in the cache. When it dies, its wallets are given time to come back to another one;
while no process lives nobody is declared gone, since nobody could come back.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.core.cache import cache
from django.db import transaction

from aggregation.server import config
from aggregation.server.errors import Unknown
from aggregation.server.models import ALIAS, Participant
from aggregation.server.services.ingest import Seat
from aggregation.server.states import OVER

ALIVE_SECONDS = 8
_OVER = [step.value for step in OVER]


@dataclass(frozen=True, kw_only=True)
class Join:
    """A wallet that signed the challenge of a socket with its job key."""

    job: bytes
    round: int
    job_key: bytes
    hub: str


def join(items: Sequence[Join]) -> list[Seat | Exception]:
    """Seat a batch of wallets; Unknown for who is not in the cohort."""
    results: list[Seat | Exception] = []
    with transaction.atomic(using=ALIAS):
        found: list[int] = []
        for item in items:
            row = Participant.objects.filter(
                round__job_id=uuid.UUID(bytes=item.job), round__number=item.round, job_key=item.job_key.hex()
            ).first()
            if row is None:
                results.append(
                    Unknown("This wallet is not in the cohort of this round.", code="not_in_cohort")
                )
                continue
            found.append(row.pk)
            results.append(
                Seat(
                    participant=row.pk,
                    round=row.round_id,
                    job_key=item.job_key,
                    subscription_key=row.subscription_key,
                    ticket=row.ticket,
                    hub=item.hub,
                )
            )
        for name in {item.hub for item in items}:
            Participant.objects.filter(pk__in=found).update(hub=name)
    return results


def show_alive(hub: str) -> None:
    cache.set(f"aggregator:hub:{hub}", 1, ALIVE_SECONDS)
    cache.set("aggregator:hub", 1, ALIVE_SECONDS)


def adopt_orphans() -> int:
    """Wallets of dead processes count as gone from now, with a longer grace; returns how many."""
    if cache.get("aggregator:hub") is None:
        return 0
    seated = Participant.objects.exclude(hub="").exclude(round__step__in=_OVER)
    dead = [
        name
        for name in seated.values_list("hub", flat=True).distinct()
        if cache.get(f"aggregator:hub:{name}") is None
    ]
    if not dead:
        return 0
    since = config.precise_now() + config.RESTART_GRACE_SECONDS - config.GRACE_SECONDS
    orphans = Participant.objects.filter(hub__in=dead).exclude(round__step__in=_OVER)
    return Participant.objects.filter(pk__in=list(orphans.values_list("pk", flat=True))).update(
        hub="", gone_since=since
    )
