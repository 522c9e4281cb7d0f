"""Sockets of wallets: who holds one, in which process, and who lost it when a process died.

A process shows that it lives by a key in the cache. When it dies, its wallets are given time to come back to another one;
while no process lives nobody is declared gone, since nobody could come back.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from django.db import transaction
from django.db.models import QuerySet

from aggregation.server import config
from aggregation.server.errors import Unknown
from aggregation.server.models import ALIAS, Participant, Round
from aggregation.server.services.ingest import Seat
from aggregation.server.services.progress import WAITED_FOR
from aggregation.server.states import RUNNING, Step

ALIVE_SECONDS = 8
_RUNNING = [step.value for step in RUNNING]


@dataclass(frozen=True, kw_only=True)
class Join:
    """A wallet that signed the challenge of a socket with its job key."""

    job: bytes
    round: int
    job_key: bytes
    hub: str


def join(items: Sequence[Join]) -> list[Seat | Exception]:
    """Seat a batch of wallets; Unknown for who is not in the cohort."""
    with transaction.atomic(using=ALIAS):
        rows = Participant.objects.filter(
            round__job_id__in={uuid.UUID(bytes=item.job) for item in items},
            round__number__in={item.round for item in items},
            job_key__in=[item.job_key.hex() for item in items],
        ).values_list(
            *("round__job_id", "round__number", "job_key", "pk", "round_id"),
            *("subscription_key", "ticket", "round__step"),
        )
        found = {(job.bytes, number, key): row for job, number, key, *row in rows}
        for name in {item.hub for item in items}:
            mine = [found.get(_named(item)) for item in items if item.hub == name]
            Participant.objects.filter(pk__in=[row[0] for row in mine if row is not None]).update(hub=name)
    return [_seat(item, found.get(_named(item))) for item in items]


def _named(item: Join) -> tuple[bytes, int, str]:
    return item.job, item.round, item.job_key.hex()


def _seat(item: Join, row: list[Any] | None) -> Seat | Exception:
    if row is None:
        return Unknown("This wallet is not in the cohort of this round.", code="not_in_cohort")
    participant, round_id, subscription_key, ticket, step = row
    return Seat(
        participant=participant,
        round=round_id,
        job_key=item.job_key,
        subscription_key=subscription_key,
        ticket=ticket,
        hub=item.hub,
        step=Step(step),
    )


def begin() -> int:
    """A process starts: whoever could not come or come back before has the time to do so; returns how many.

    Who said that it will not come (`gone_since` 0) is not waited for.
    """
    since = config.precise_now() + config.RESTART_GRACE_SECONDS - config.GRACE_SECONDS
    away = _of_running_rounds().filter(hub="", state__in=WAITED_FOR, gone_since__gt=0, gone_since__lt=since)
    return away.update(gone_since=since)


def somebody_lives() -> bool:
    """Whether any process serves wallets now."""
    return cache.get("aggregator:hub") is not None


def show_alive(hub: str) -> None:
    cache.set(f"aggregator:hub:{hub}", 1, ALIVE_SECONDS)
    cache.set("aggregator:hub", 1, ALIVE_SECONDS)


def adopt_orphans() -> int:
    """Wallets of dead processes count as gone from now, with a longer grace; returns how many."""
    if not somebody_lives():
        return 0
    seated = _of_running_rounds().exclude(hub="")
    dead = [
        name
        for name in seated.values_list("hub", flat=True).distinct()
        if cache.get(f"aggregator:hub:{name}") is None
    ]
    if not dead:
        return 0
    since = config.precise_now() + config.RESTART_GRACE_SECONDS - config.GRACE_SECONDS
    return seated.filter(hub__in=dead).update(hub="", gone_since=since)


def _of_running_rounds() -> QuerySet[Participant]:
    """Of rounds that are over every participant stays until its visit is settled."""
    running = Round.objects.filter(step__in=_RUNNING).values_list("pk", flat=True)
    return Participant.objects.filter(round__in=list(running))
