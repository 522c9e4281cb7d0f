"""Calls that must reach the distributor even if it is down now: rows first, then delivery, again and again until it works."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from django.core.cache import cache
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from collectives import clients, wakeups
from collectives.errors import ServiceRefused, ServiceUnavailable
from collectives.models import OutgoingCall
from collectives.services.due import due

log = structlog.get_logger(__name__)
LONGEST_WAIT = 60
BATCH = 200
_NEWCOMER = re.compile(r"/collectives/(?P<collective>[0-9a-f-]{36})/subscribers/(?P<key>[0-9a-f]{64})")
ASKED, ASKED_SECONDS = "collectives.flush_outgoing.asked", 10


def enqueue(
    *,
    key: str,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    after: OutgoingCall | None = None,
) -> OutgoingCall:
    """Keep a call to be made once; call inside the transaction that makes it necessary.

    `after` is a call that must have been answered before this one is sent: a subscriber who left is never put back by a call
    that waited longer, and a newcomer is known before a notice is addressed.
    """
    if after is not None:
        waiting = OutgoingCall.objects.filter(pk=after.pk, status=OutgoingCall.Status.WAITING)
        waiting.update(not_before=timezone.now())
    call, _ = OutgoingCall.objects.get_or_create(
        key=key, defaults={"method": method, "path": path, "body": body or {}, "after": after}
    )
    transaction.on_commit(wake)
    return call


def enqueue_first(calls: Sequence[OutgoingCall]) -> list[OutgoingCall]:
    """As `enqueue`, where this transaction has just made the first thing that each key can be about: nothing is looked up.

    Raises:
        IntegrityError: a call with one of these keys was kept before.
    """
    kept = OutgoingCall.objects.bulk_create(calls)
    transaction.on_commit(wake)
    return kept


def wake() -> None:
    """Ask a worker to deliver soon; the sweep finds what this loses.

    One task waits at a time: a thousand wallets that subscribe would else queue a thousand, and what is on a timetable behind them.
    """
    if _first_to_ask():
        wakeups.send("collectives.flush_outgoing")


def _first_to_ask() -> bool:
    try:
        return bool(cache.add(ASKED, 1, ASKED_SECONDS))
    except Exception as error:  # any trouble of the cache: one task too many is better than a call that waits
        log.warning("cache_unreachable", error=type(error).__name__)
        return True


def flush() -> int:
    """Deliver what is due, in order; returns how many arrived."""
    with suppress(Exception):  # before looking: whoever enqueues from now on asks again
        cache.delete(ASKED)
    delivered = 0
    while True:
        arrived, more = _pass()
        delivered += arrived
        if not arrived or not more:
            return delivered


def something_is_due() -> bool:
    """Whether `flush` may find a call to make."""
    return _due().exists()


def _due() -> QuerySet[OutgoingCall]:
    its_time = due("not_before", timezone.now(), longest=timedelta(seconds=LONGEST_WAIT))
    return OutgoingCall.objects.filter(its_time, status=OutgoingCall.Status.WAITING)


def _pass() -> tuple[int, bool]:
    """(how many arrived, whether another pass may find more)."""
    free = _due().exclude(after__status=OutgoingCall.Status.WAITING)
    delivered = 0
    for calls in _together(free.order_by("id")[:BATCH]):
        if len(calls) > 1 and deliver_newcomers(calls):
            delivered += len(calls)
            continue
        for call in calls:
            if deliver(call):
                delivered += 1
            elif call.status == OutgoingCall.Status.WAITING:
                return delivered, False  # the distributor is down: the rest would fail too
    return delivered, True


def _together(calls: Iterable[OutgoingCall]) -> list[list[OutgoingCall]]:
    """In order, and side by side what one call can say: who is new in the same collective."""
    groups: list[list[OutgoingCall]] = []
    before = ""
    for call in calls:
        found = _NEWCOMER.fullmatch(call.path) if call.method == "PUT" else None
        collective = found["collective"] if found else ""
        if collective and collective == before:
            groups[-1].append(call)
        else:
            groups.append([call])
        before = collective
    return groups


def deliver_newcomers(calls: Sequence[OutgoingCall]) -> bool:
    """Tell of several newcomers of one collective at once. Where that fails they are told of one by one, and each row says how it went."""
    found = [_NEWCOMER.fullmatch(call.path) for call in calls]
    told = {match["key"]: call.body for match, call in zip(found, calls, strict=True) if match}
    rows = OutgoingCall.objects.filter(pk__in=[call.pk for call in calls], status=OutgoingCall.Status.WAITING)
    collective = found[0]["collective"] if found[0] else ""
    try:
        clients.distributor().call("PUT", f"/collectives/{collective}/subscribers", {"subscribers": told})
    except (ServiceUnavailable, ServiceRefused) as error:
        log.info("newcomers_one_by_one", detail=str(error)[:200])
        return False
    rows.update(status=OutgoingCall.Status.DONE, attempts=F("attempts") + 1, last_error="")
    return True


def deliver(call: OutgoingCall) -> bool:
    """Try one call now; its row says how it went."""
    claimed = OutgoingCall.objects.filter(
        pk=call.pk, status=OutgoingCall.Status.WAITING, attempts=call.attempts
    ).update(
        attempts=F("attempts") + 1,
        not_before=timezone.now() + timedelta(seconds=min(LONGEST_WAIT, 2 ** min(call.attempts, 6))),
    )
    if not claimed:
        return False
    try:
        clients.distributor().call(call.method, call.path, call.body)
    except ServiceUnavailable as error:
        OutgoingCall.objects.filter(pk=call.pk).update(last_error=str(error)[:200])
        return False
    except ServiceRefused as error:
        call.status = (
            OutgoingCall.Status.DONE
            if error.status == 404 and call.method == "DELETE"
            else OutgoingCall.Status.REFUSED
        )
        OutgoingCall.objects.filter(pk=call.pk).update(status=call.status, last_error=error.code[:200])
        return call.status == OutgoingCall.Status.DONE
    call.status = OutgoingCall.Status.DONE
    OutgoingCall.objects.filter(pk=call.pk).update(status=call.status, last_error="")
    return True
