"""Subscriptions by pseudonym, and the leaves of the registry's root."""

from __future__ import annotations

import uuid

from collectives.models import OutgoingCall, Subscription


def subscription_state(subscription_key: str) -> Subscription | None:
    return (
        Subscription.objects.select_related("terms", "collective")
        .filter(subscription_key=subscription_key)
        .first()
    )


def stop_is_pending(subscription_key: str) -> bool:
    """Whether the order to stop asking a wallet still waits for the distributor to answer."""
    waiting = OutgoingCall.objects.filter(
        key=f"revoked:{subscription_key}", status=OutgoingCall.Status.WAITING
    )
    return waiting.exists()


def collectives_with_agreements() -> list[uuid.UUID]:
    """Every collective somebody ever subscribed to."""
    return sorted(Subscription.objects.order_by().values_list("collective_id", flat=True).distinct())


def agreements_for_epoch(collective_id: uuid.UUID) -> list[str]:
    """Hashes of the agreements in force, ascending: the leaves of the registry's root."""
    active = Subscription.objects.filter(collective_id=collective_id, status=Subscription.Status.ACTIVE)
    return sorted(active.values_list("agreement_hash", flat=True))


def revoked_agreements(collective_id: uuid.UUID) -> list[str]:
    gone = Subscription.objects.filter(collective_id=collective_id, status=Subscription.Status.REVOKED)
    return sorted(gone.values_list("agreement_hash", flat=True))
