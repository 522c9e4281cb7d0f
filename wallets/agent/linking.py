"""Links that lead a wallet to a collective, and getting to know a server without ever exchanging the one that is pinned.

`cssi://subscribe?url=…&collective=…&pin=…` names a server by the SHA-256 of its description (as a pairing link does) and one
collective on it. It carries no secret and decides nothing: the wallet fetches the signed terms and asks its holder.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from collectives.terms.description import Terms
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from wallets.agent import server
from wallets.agent.errors import BadData, PeerNotTrusted, ProtocolFault
from wallets.agent.transport import check_url

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent

SCHEME, PLACE = "cssi", "subscribe"


@dataclass(frozen=True, kw_only=True)
class SubscriptionLink:
    """Where a collective is. `url` and `pin` are empty when only its id was typed."""

    collective: str
    url: str = ""
    pin: str = ""

    def __str__(self) -> str:
        query = urlencode({"url": self.url, "collective": self.collective, "pin": self.pin})
        return f"{SCHEME}://{PLACE}?{query}"


def parse_subscription(text: str) -> SubscriptionLink:
    """A link, or the bare id of a collective. Raises BadData."""
    text = text.strip()
    if "://" not in text:
        return SubscriptionLink(collective=_collective(text))
    parts = urlsplit(text)
    if (parts.scheme, parts.netloc) != (SCHEME, PLACE):
        raise BadData("This is not a link to a collective. It starts with cssi://subscribe.")
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    missing = [name for name in ("url", "collective", "pin") if not query.get(name)]
    if missing:
        raise BadData(f"The link is incomplete (no {', '.join(missing)}). Copy the whole link again.")
    return SubscriptionLink(
        collective=_collective(query["collective"]), url=check_url(query["url"]), pin=query["pin"].lower()
    )


def _collective(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise BadData("A collective's id looks like 1b4e28ba-2fa1-11d2-883f-0016d3cca427.") from None


async def know_server(agent: WalletAgent, url: str, pin: str = "") -> None:
    """Pin the server at an address when none is pinned yet. A pinned one stays; another one is refused.

    Raises PeerNotTrusted, NotFound (not_paired) when there is neither a pinned server nor an address.
    """
    if not url:
        _ = agent.server  # says in its own words that nothing is pinned
        return
    document = await server.fetch(agent.transport, check_url(url), pin)
    known = await agent.store.get(*server.RECORD)
    if known is None:
        await agent.pin_server(document)
    elif server.pin_of(known) != server.pin_of(document):
        raise PeerNotTrusted(
            "This wallet already trusts another server. Create a second wallet for the other one."
        )


async def signed_terms(agent: WalletAgent, collective: str) -> tuple[dict[str, Any], Terms]:
    """A collective's terms as the pinned server has them: the envelope, and the document once its signature was checked.

    Raises ProtocolFault when they are not signed by the key they name, or are another collective's.
    """
    envelope = await agent.transport.call("GET", agent.server.api_url(f"collectives/{collective}/terms"))
    try:
        signed = SignedDocument.from_json(envelope)
        terms = Terms.parse(signed.open("terms", None))
    except TermsError as error:
        raise ProtocolFault(f"The terms are not valid: {error}") from None
    if signed.key != terms.collective_key or terms.collective_id != collective:
        raise ProtocolFault("The terms are not signed by the collective they name.")
    return envelope, terms
