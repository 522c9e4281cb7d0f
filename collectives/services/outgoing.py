"""Calls that must reach the distributor even if it is down now: rows first, then delivery, again and again until it works."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from collectives import clients
from collectives.errors import ServiceRefused, ServiceUnavailable
from collectives.models import OutgoingCall

LONGEST_WAIT = 60
BATCH = 200


def enqueue(*, key: str, method: str, path: str, body: dict[str, Any] | None = None) -> OutgoingCall:
    """Keep a call to be made once; call inside the transaction that makes it necessary."""
    call, _ = OutgoingCall.objects.get_or_create(
        key=key, defaults={"method": method, "path": path, "body": body or {}}
    )
    transaction.on_commit(wake)
    return call


def wake() -> None:
    """Ask a worker to deliver soon; the sweep finds what this loses."""
    from collectives.tasks import flush_outgoing, send_quietly

    send_quietly(flush_outgoing)


def flush() -> int:
    """Deliver what is due; returns how many arrived."""
    due = OutgoingCall.objects.filter(status=OutgoingCall.Status.WAITING, not_before__lte=timezone.now())
    delivered = 0
    for call in due.order_by("id")[:BATCH]:
        if deliver(call):
            delivered += 1
        elif call.status == OutgoingCall.Status.WAITING:
            break  # the distributor is down: the rest would fail too
    return delivered


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
