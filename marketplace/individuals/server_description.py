"""What this server says about itself: the keys and addresses a wallet pins when it is paired."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import rfc8785
from django.conf import settings

from collectives.services.collectives import registry_address

VERSION = 1


def describe() -> dict[str, Any]:
    """The document of `GET /api/v1/server` (docs/protocol/interfaces.md, section 5)."""
    return {
        "version": VERSION,
        "distributor_key": settings.DISTRIBUTOR_KEY,
        "distributor_socket": _socket(settings.DISTRIBUTOR_URL, "/ws/wallet/"),
        "aggregator_key": settings.AGGREGATOR_KEY,
        "aggregator_seal_key": settings.AGGREGATOR_SEAL_PUBLIC_KEY,
        "aggregator_socket": _socket(settings.AGGREGATOR_URL, "/ws/round/"),
        "api": f"{settings.SITE_URL.rstrip('/')}/api/v1",
        "chain_id": settings.CHAIN_ID,
        "registry": registry_address(),
    }


def pin() -> str:
    """SHA-256 of the description's RFC 8785 form, hex: what a pairing link carries."""
    return sha256(rfc8785.dumps(describe())).hexdigest()


def pairing_link(code: str) -> str:
    return f"cssi://pair?url={quote(settings.SITE_URL, safe='')}&code={code}&pin={pin()}"


def subscription_link(collective_id: UUID) -> str:
    """Leads a wallet to a collective's signed terms. It carries no secret and decides nothing: the wallet asks its holder."""
    return f"cssi://subscribe?url={quote(settings.SITE_URL, safe='')}&collective={collective_id}&pin={pin()}"


def _socket(url: str, path: str) -> str:
    parts = urlsplit(url)
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{path}"
