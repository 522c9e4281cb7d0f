"""After the holder's data changed: prove presence again to each collective, so that visits go on with the new data.

The commitment in the permit's record is changed only after the collective took the statement. Until then the wallet refuses visits
("your data changed"), so a collective never gets receipts for data it was not shown to be present.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectives.terms.envelope import SignedDocument
from collectives.terms.presence import PresenceStatement
from collectives.terms.requirements import requirement_hash
from wallets.agent import credentials, journal, permits, presentation
from wallets.agent.errors import BadData, Unreachable, WalletError
from wallets.agent.identity import SubscriptionKeys
from wallets.agent.journal import Kind
from wallets.agent.material import missing_for

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent


async def restate_all(agent: WalletAgent) -> dict[str, str]:
    """Restate to every collective whose statement no longer fits; name -> what happened, in words."""
    told: dict[str, str] = {}
    record = await credentials.load(agent.store)
    for collective_id, stored in sorted((await agent.store.list("permit")).items()):
        if not missing_for(stored, record):
            continue
        permit = permits.permit_of(stored)
        assert permit is not None
        try:
            await restate(agent, collective_id)
            told[permit.name] = "took your changed data"
        except Unreachable as error:
            told[permit.name] = (
                f"could not be told: {error.sentence} It gets no visit until `restate` reaches it"
            )
        except WalletError as error:
            told[permit.name] = f"is not visited with the changed data: {error.sentence}"
    return told


async def restate(agent: WalletAgent, collective_id: str) -> None:
    """Prove presence of the data as it is now to one collective.

    Raises BadData (what is missing), ServerRefused, Unreachable; nothing is changed then.
    """
    async with agent.subscribing:
        stored = await agent.store.get("permit", collective_id)
        keys = SubscriptionKeys.from_record(await agent.store.get("keys", collective_id) or {})
        permit = permits.permit_of(stored)
        assert permit is not None
        assert stored is not None
        requirement, now, seed = permits.requirement_of(stored), agent.now(), agent.rng(32)
        _refuse_missing(presentation.missing(await credentials.load(agent.store), requirement))
        presence = await presentation.prove(
            agent,
            requirement,
            collective_id=collective_id,
            subscription_key=keys.public,
            seed=seed,
            created=now,
        )
        statement = PresenceStatement(
            collective_id=collective_id,
            subscription_key=permit.subscription_key,
            requirement_hash=requirement_hash(requirement),
            presence=presence.to_document(),
            created=now,
        )
        envelope = SignedDocument.sign("presence", statement.to_document(), keys.subscription).to_json()
        await agent.transport.call(
            "POST", agent.server.api_url(f"collectives/{collective_id}/presence"), envelope
        )
        await _keep(agent, collective_id, seed, presence)


async def _keep(agent: WalletAgent, collective_id: str, seed: bytes, presence: presentation.Presence) -> None:
    """The new commitment, unless the permit was deleted meanwhile."""
    async with agent.store.transaction() as records:
        stored: dict[str, Any] | None = await records.get("permit", collective_id)
        if stored is None:
            return
        changed = {"commitment": presence.commitment.hex(), "commitment_seed": seed.hex()}
        await records.put("permit", collective_id, {**stored, **changed})
        await journal.append(
            records,
            agent.now(),
            Kind.DATA,
            collective_id=collective_id,
            sentence="Presence of the changed data was proven.",
        )


def _refuse_missing(problems: tuple[str, ...]) -> None:
    if problems:
        raise BadData(
            f"Your data no longer meets the requirement: {'; '.join(problems[:6])}.", code="data_missing"
        )
