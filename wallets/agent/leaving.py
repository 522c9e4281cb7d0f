"""Leaving a collective: needs nobody's help.

The permit and every key of the subscription are removed and erased first; telling the servers is only tidying and waits in
the outbox while they are down.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collectives.terms.envelope import SignedDocument
from collectives.terms.permit import Permit
from wallets.agent import journal, letters, receipts
from wallets.agent.errors import NotFound
from wallets.agent.identity import SubscriptionKeys
from wallets.agent.journal import Kind
from wallets.agent.outbox import Letter, queue

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent
    from wallets.agent.vault import Records


@dataclass(frozen=True, kw_only=True)
class Revocation:
    """Exactly what a revocation did."""

    collective_id: str
    name: str
    milliseconds: float
    visits_stopped: int
    erased: bool
    servers_told: bool


async def revoke(agent: WalletAgent, collective_id: str, *, tell: bool = True) -> Revocation:
    """Delete the permit now; nothing of this collective runs or leaves afterwards. Works with every server down."""
    started = time.perf_counter()
    async with agent.store.transaction() as records:
        name = await _delete(agent, records, collective_id, tell=tell)
    elapsed = (time.perf_counter() - started) * 1000
    stopped = await agent.cancel_visits(collective_id)
    erased = await agent.store.erase()
    agent.event("revoked", collective_id=collective_id)
    if tell:
        await agent.flush_outgoing()
    return Revocation(
        collective_id=collective_id,
        name=name,
        milliseconds=elapsed,
        visits_stopped=stopped,
        erased=erased,
        servers_told=await agent.outbox.waiting() == 0,
    )


async def forget(agent: WalletAgent, collective_id: str) -> None:
    """The holder revoked on the web: delete the permit; the servers know already. Repeating it changes nothing."""
    try:
        await revoke(agent, collective_id, tell=False)
    except NotFound:
        return


async def _delete(agent: WalletAgent, records: Records, collective_id: str, *, tell: bool) -> str:
    stored = await records.get("permit", collective_id)
    kept = await records.get("keys", collective_id)
    if stored is None or kept is None:
        raise NotFound("There is no permit for this collective in this wallet, so it already gets nothing.")
    permit, keys = Permit.parse(stored["permit"]["document"]), SubscriptionKeys.from_record(kept)
    if tell:
        document = {
            "version": 1,
            "collective_id": collective_id,
            "subscription_key": keys.public.hex(),
            "agreement_hash": permit.agreement_hash,
            "created": agent.now(),
        }
        envelope = SignedDocument.sign("revocation", document, keys.subscription).to_json()
        path = f"collectives/{collective_id}/revocations"
        await queue(records, Letter(to="api", method="POST", path=path, json_body=envelope), agent.rng)
    await letters.queue_link(
        agent, records, collective_id, permit.subscription_key, stored["offer_ref"], "revoked"
    )
    by = "revoked in the wallet" if tell else "revoked on the web"
    await receipts.withdraw(records, permit.subscription_key, keys.subscription, now=agent.now(), by=by)
    for category in ("permit", "keys", "memory", "draft", "standing"):
        await records.remove(category, collective_id)
    for category in ("jobkey", "revealed", "notice"):
        for name, value in (await records.list(category)).items():
            if value["collective_id"] == collective_id:
                await records.remove(category, name)
    await journal.append(
        records,
        agent.now(),
        Kind.REVOKED,
        collective_id=collective_id,
        sentence=f"Left {permit.name}; the permit is deleted.",
    )
    return permit.name
