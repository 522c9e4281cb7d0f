"""Credentials for proofs that link nothing: collected with the others, proven at subscription and when data changes.

One link secret of the wallet is in all of them; it never leaves the wallet, and no proof tells that two were made with it.
Proving takes tenths of a second of processor time, so it is done in a thread beside the agent's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from aggregation.wire.secret import Secret
from attestation.formats import predicates, proofs
from attestation.formats.errors import AttestationError
from wallets.agent.errors import WalletError

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
    """`{definition, fields: {field: credential}, until}` from a desk that offers them; empty where it does not.

    Raises WalletError with the credential's own code when the desk's keys or credentials are not what they must be.
    """
    if not isinstance(offered, dict):
        return {}
    try:
        definition = predicates.open_definition(str(offered.get("definition")), issuers=[issuer])
        offer, secret = offered["offer"], await _link_secret(agent)
        made = {name: predicates.request(definition, offer, secret, agent.rng(16).hex()) for name in fields}
        requests = {name: {"offer": offer, "request": request} for name, (request, _) in made.items()}
        answer = await agent.transport.call("POST", url, {**call, "requests": requests})
        finished = {
            name: predicates.receive(definition, answer["credentials"][name], metadata, secret)
            for name, (_, metadata) in made.items()
        }
        until = min(int(one["values"]["expires"]["raw"]) for one in finished.values())
    except AttestationError as error:
        raise WalletError(str(error), code=error.code) from None
    except (KeyError, TypeError, ValueError):
        raise WalletError("The issuer's answer is not in the agreed form.", code="malformed") from None
    return {"definition": definition.token, "issuer": issuer, "fields": finished, "until": until}


def holds(kept: Mapping[str, Any], field: str, now: int) -> bool:
    """Whether a field can be proven today."""
    return field in kept.get("fields", {}) and now - now % predicates.DAY <= kept["until"]


async def prove(
    agent: WalletAgent,
    chosen: Mapping[str, Mapping[str, Any]],
    requirement: Mapping[str, Any],
    created: int,
    nonce: str,
) -> tuple[str, ...]:
    """One attestation per field. `chosen`: field -> what `collect` gave."""
    secret = await _link_secret(agent) if chosen else None
    return tuple(
        [
            await asyncio.to_thread(_prove, name, kept, secret, requirement, created, nonce)
            for name, kept in sorted(chosen.items())
            if secret is not None
        ]
    )


def _prove(
    name: str,
    kept: Mapping[str, Any],
    secret: Secret,
    requirement: Mapping[str, Any],
    created: int,
    nonce: str,
) -> str:
    definition = predicates.open_definition(kept["definition"], issuers=[kept["issuer"]])
    least = proofs.least_of(requirement["properties"][name])
    proof = predicates.prove(
        definition, kept["fields"][name], secret, least=least, created=created, nonce=nonce
    )
    return proofs.pack(name, definition, proof)


async def _link_secret(agent: WalletAgent) -> Secret:
    stored = await agent.store.get(*LINK_SECRET)
    if stored is None:
        stored = {"private": predicates.new_link_secret().reveal().decode()}
        await agent.store.put(*LINK_SECRET, stored)
    return Secret(stored["private"].encode())
