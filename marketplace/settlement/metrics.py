"""What settlement counts for whoever watches it: transactions on their way, epochs, and whether ledger and chain agree."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count
from django.utils import timezone

from marketplace.settlement import alarms
from marketplace.settlement.models import ChainTransaction, Reconciliation, SettlementEpoch, Signer

S = ChainTransaction.State
OPEN = (S.NEW, S.SIGNED, S.SENT, S.MINED)


def samples() -> Iterator[tuple[str, str, dict[str, str], float]]:
    found = dict(ChainTransaction.objects.values_list("state").annotate(Count("pk")))
    for state in ChainTransaction.State.values:
        yield "chain_transactions", "transactions by state", {"state": state}, found.get(state, 0)
    waiting = ChainTransaction.objects.filter(state__in=OPEN).order_by("created_at")
    oldest = waiting.values_list("created_at", flat=True).first()
    age = (timezone.now() - oldest).total_seconds() if oldest else 0
    yield "chain_transaction_oldest_seconds", "age of the oldest one not yet confirmed", {}, age
    yield "settlement_epochs", "epochs ever closed", {}, SettlementEpoch.objects.count()
    last = Reconciliation.objects.order_by("-pk").first()
    if last is not None:
        yield (
            "reconciled",
            "1 when ledger and chain agreed the last time they were compared",
            {},
            int(last.ok),
        )
    for key in Signer.objects.filter(balance__isnull=False):
        yield (
            "platform_key_native",
            "native coin of a platform key when last looked at, ether",
            {"address": key.address},
            int(key.balance or 0) / 10**18,
        )
    yield "platform_keys_low", "platform keys that hold too little", {}, len(alarms.warnings())
