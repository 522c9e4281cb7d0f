"""The server a wallet is paired with: its pinned keys and addresses, and the links that lead to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import rfc8785

from aggregation.wire import signing
from aggregation.wire.errors import WireError
from wallets.agent.errors import BadData, PeerNotTrusted, ProtocolFault
from wallets.agent.transport import Transport, check_url

RECORD = ("server", "pinned")
SHOWN_OF_PIN = 16
"""Characters of the fingerprint that a person compares after typing a code."""


@dataclass(frozen=True, kw_only=True)
class ServerDescription:
    """What `GET /api/v1/server` said when the wallet was paired. Keys are 32 bytes; addresses were checked."""

    distributor_key: bytes
    distributor_socket: str
    aggregator_key: bytes
    aggregator_seal_key: bytes
    aggregator_socket: str
    api: str
    chain_id: int
    registry: str
    pin: str

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> ServerDescription:
        """Raises ProtocolFault, or InsecureTransport for a plain address beyond this machine."""
        try:
            distributor_key, aggregator_key = (
                bytes.fromhex(document[name]) for name in ("distributor_key", "aggregator_key")
            )
            signing.check_public_key(distributor_key)
            signing.check_public_key(aggregator_key)
            return cls(
                distributor_key=distributor_key,
                distributor_socket=check_url(document["distributor_socket"]),
                aggregator_key=aggregator_key,
                aggregator_seal_key=bytes.fromhex(document["aggregator_seal_key"]),
                aggregator_socket=check_url(document["aggregator_socket"]),
                api=check_url(document["api"]),
                chain_id=int(document["chain_id"]),
                registry=str(document["registry"]),
                pin=pin_of(document),
            )
        except (KeyError, TypeError, ValueError, WireError):
            raise ProtocolFault(
                "The server's description of itself is malformed.", code="bad_server"
            ) from None

    @property
    def distributor_http(self) -> str:
        """Origin for payload downloads."""
        return _http_origin(self.distributor_socket)

    @property
    def aggregator_http(self) -> str:
        """Origin for masked inputs and payout openings."""
        return _http_origin(self.aggregator_socket)

    def api_url(self, path: str) -> str:
        """An address of the market's and collectives' public API."""
        return f"{self.api.rstrip('/')}/{path}"


@dataclass(frozen=True, kw_only=True)
class PairingLink:
    """What a pairing link, a QR code or a typed code carries. `pin` is empty when only a code was typed."""

    url: str
    code: str
    pin: str = ""


def parse_link(link: str) -> PairingLink:
    """Parse `cssi://pair?url=…&code=…&pin=…`. Raises BadData."""
    parts = urlsplit(link.strip())
    if parts.scheme != "cssi" or parts.netloc != "pair":
        raise BadData(
            "This is not a pairing link. Copy the whole link that starts with cssi://pair from “Pair a wallet”."
        )
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    missing = [name for name in ("url", "code", "pin") if not query.get(name)]
    if missing:
        raise BadData(f"The pairing link is incomplete (no {', '.join(missing)}). Copy the whole link again.")
    return PairingLink(url=check_url(query["url"]), code=query["code"], pin=query["pin"].lower())


def pin_of(document: Mapping[str, Any]) -> str:
    """SHA-256 of the RFC 8785 form, lowercase hex."""
    return sha256(rfc8785.dumps(dict(document))).hexdigest()


async def fetch(transport: Transport, url: str, pin: str) -> dict[str, Any]:
    """The server's description; PeerNotTrusted when it is not the one the pairing link names."""
    document = await transport.call("GET", f"{url.rstrip('/')}/api/v1/server")
    if not isinstance(document, dict):
        raise ProtocolFault("The server's description of itself is malformed.", code="bad_server")
    if pin and pin_of(document) != pin:
        raise PeerNotTrusted(
            "The server at this address is not the one the pairing link names. Get a new link from “Pair a wallet”."
        )
    ServerDescription.parse(document)
    return document


def _http_origin(socket_url: str) -> str:
    parts = urlsplit(socket_url)
    return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"
