"""Credentials for proofs that link nothing: collected with the others, proven at subscription and when data changes.

One link secret of the wallet is in all of them; it never leaves the wallet, and no proof tells that two were made with it.
A proof also shows that the credential is not in its issuer's list of revoked ones, read just before; that list is the same for everybody.
Proving takes tenths of a second of processor time, so it is done in a thread beside the agent's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aggregation.wire.secret import Secret
from attestation.formats import predicates, proofs
from attestation.formats import registry as registries
from attestation.formats.definition import Definition, open_definition
from attestation.formats.errors import AttestationError
from attestation.formats.registry import Registry, Revocations, open_list, open_registry
from wallets.agent.errors import ProtocolFault, Unreachable, WalletError
from wallets.agent.transport import check_url

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent

LINK_SECRET = ("key", "link-secret")


async def collect(
    agent: WalletAgent,
    offered: Any,
    issuer: str,
    url: str,
    *,
    fields: Collection[str],
    call: Mapping[str, Any],
) -> dict[str, Any]:
    """`{definition, registry, fields: {field: credential}, until}` from a desk that offers them; empty where it does not.

    Raises WalletError with the credential's own code when the desk's keys or credentials are not what they must be.
    """
    if not isinstance(offered, dict):
        return {}
    try:
        definition = open_definition(str(offered.get("definition")), issuers=[issuer])
        offer, secret = offered["offer"], await _link_secret(agent)
        made = {name: predicates.request(definition, offer, secret, agent.rng(16).hex()) for name in fields}
        requests = {name: {"offer": offer, "request": request} for name, (request, _) in made.items()}
        answer = await agent.transport.call("POST", url, {**call, "requests": requests})
        registry = open_registry(str(answer["registry"]), definition=definition)
        finished = {
            name: predicates.receive(definition, answer["credentials"][name], metadata, secret, registry)
            for name, (_, metadata) in made.items()
        }
        until = min(int(one["values"]["expires"]["raw"]) for one in finished.values())
    except AttestationError as error:
        raise WalletError(str(error), code=error.code) from None
    except (KeyError, TypeError, ValueError):
        raise WalletError("The issuer's answer is not in the agreed form.", code="malformed") from None
    return {
        "definition": definition.token,
        "registry": registry.token,
        "issuer": issuer,
        "fields": finished,
        "until": until,
    }


def holds(kept: Mapping[str, Any], field: str, now: int) -> bool:
    """Whether a field can be proven today. What was collected before there were registries cannot."""
    return "registry" in kept and field in kept["fields"] and now - now % predicates.DAY <= kept["until"]


@dataclass(frozen=True, kw_only=True)
class Against:
    """What one proof is made with, besides the credential."""

    definition: Definition
    registry: Registry
    listed: Revocations
    tails: bytes = field(repr=False)


async def prove(
    agent: WalletAgent,
    chosen: Mapping[str, Mapping[str, Any]],
    requirement: Mapping[str, Any],
    created: int,
    nonce: str,
) -> tuple[str, ...]:
    """One attestation per field. `chosen`: field -> what `collect` gave.

    Raises WalletError: `revoked`, `status_unknown` where the issuer's list cannot be read now, or another code of a credential.
    """
    if not chosen:
        return ()
    secret, read = await _link_secret(agent), dict[str, Against]()
    made = []
    try:
        for name, kept in sorted(chosen.items()):
            token = kept["registry"]
            if token not in read:
                read[token] = await _against(agent, kept)
            least = proofs.least_of(requirement["properties"][name])
            made.append(
                await asyncio.to_thread(_prove, name, kept, secret, read[token], least, created, nonce)
            )
    except AttestationError as error:
        raise WalletError(str(error), code=error.code) from None
    return tuple(made)


async def _against(agent: WalletAgent, kept: Mapping[str, Any]) -> Against:
    definition = open_definition(kept["definition"], issuers=[kept["issuer"]])
    registry = open_registry(kept["registry"], definition=definition)
    try:
        token = await agent.transport.request("GET", check_url(registry.uri), most=registries.LARGEST_TOKEN)
        tails = await agent.transport.request(
            "GET", check_url(registry.tails_uri), most=registries.LARGEST_TAILS
        )
    except (Unreachable, ProtocolFault):
        raise AttestationError(
            "status_unknown", "The issuer's list of revoked credentials cannot be read now. Try again later."
        ) from None
    listed = open_list(token.body.decode("ascii", "replace"), registry=registry, now=agent.now())
    return Against(definition=definition, registry=registry, listed=listed, tails=tails.body)


def _prove(
    name: str, kept: Mapping[str, Any], secret: Secret, against: Against, least: int, created: int, nonce: str
) -> str:
    proof = predicates.prove(
        against.definition,
        kept["fields"][name],
        secret,
        registry=against.registry,
        listed=against.listed,
        tails=against.tails,
        least=least,
        created=created,
        nonce=nonce,
    )
    return proofs.pack(name, against.definition, against.registry, against.listed, proof)


async def _link_secret(agent: WalletAgent) -> Secret:
    stored = await agent.store.get(*LINK_SECRET)
    if stored is None:
        stored = {"private": predicates.new_link_secret().reveal().decode()}
        await agent.store.put(*LINK_SECRET, stored)
    return Secret(stored["private"].encode())
