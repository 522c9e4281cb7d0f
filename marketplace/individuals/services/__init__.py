"""Every write of this app: pair a wallet, send it an offer, note what it answered, revoke."""

from __future__ import annotations

from marketplace.individuals.services.deliveries import expire_offers, sweep
from marketplace.individuals.services.links import (
    choose_on_notice,
    delete_link,
    record_link,
    revoke,
    send_offer,
)
from marketplace.individuals.services.moving import move_wallet
from marketplace.individuals.services.pairing import (
    code_of,
    complete_pairing,
    remove_wallet,
    rename_wallet,
    start_pairing,
)

__all__ = [
    "choose_on_notice",
    "code_of",
    "complete_pairing",
    "delete_link",
    "expire_offers",
    "move_wallet",
    "record_link",
    "remove_wallet",
    "rename_wallet",
    "revoke",
    "send_offer",
    "start_pairing",
    "sweep",
]
