"""Money settings with their defaults. A site may set each under the same name in its settings."""

from __future__ import annotations

from typing import Any

from django.conf import settings

DEFAULTS: dict[str, Any] = {
    # Empty: Ocean's token of the pinned chain. On a development chain a token of our own is deployed.
    "TOKEN_ADDRESS": "",
    # Whether collectives, algorithms and models are published as assets.
    "PUBLISH_ASSETS": True,
    # How long an order of a collective or algorithm may be used, and how long the provider's fee of it is paid for.
    "ORDER_SECONDS": 30 * 24 * 3600,
    "ORDER_FEE_SECONDS": 24 * 3600,
    # What the provider (this platform) asks for an order, base units.
    "ORDER_FEE": 0,
    # Wei per gas above which nothing is signed; 0: whatever the chain asks.
    "CHAIN_MAX_FEE": 0,
    # Native coin below which a platform key raises the alarm, wei.
    "CHAIN_LOW_BALANCE": 5 * 10**16,
    # A second endpoint of the same chain that must agree before anything counts as confirmed; empty: none.
    "CHAIN_CONFIRM_RPC_URL": "",
    # The password of keystore files, and a callable that makes signers of one's own (a key management service).
    "CHAIN_KEYSTORE_PASSWORD_FILE": "",
    "CHAIN_SIGNER": "",
    # What individuals get of a sold model's price, millionths.
    "MODEL_SHARE_PPM": 800_000,
}


def get(name: str) -> Any:
    """A money setting."""
    return getattr(settings, name, DEFAULTS[name])
