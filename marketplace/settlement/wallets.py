"""Chain addresses of people with an account: made on first use, their keys sealed with the platform (ADR 18)."""

from __future__ import annotations

from typing import Any

from marketplace.settlement.keys import new_sealed_key
from marketplace.settlement.models import ConsumerWallet


def consumer_wallet(account: Any) -> ConsumerWallet:
    """An account's chain wallet: a consumer pays from it, an owner or author is paid to it."""
    found = ConsumerWallet.objects.filter(account=account).first()
    if found is not None:
        return found
    address, sealed = new_sealed_key(str(account.pk))
    wallet, _ = ConsumerWallet.objects.get_or_create(
        account=account, defaults={"address": address, "sealed_key": sealed}
    )
    return wallet
