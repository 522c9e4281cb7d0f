"""What the aggregator says about this wallet: that it is not asked any more and why, and what a holder can say to that.

Only the aggregator can know (it sees which sums stand out), so only its signature counts; the distributor carries the letter. The
wallet goes on refusing and accepting by its own rules: an excluded wallet is simply not invited.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aggregation.secagg.messages import LONGEST_APPEAL, Appeal
from aggregation.wire import signing
from aggregation.wire.errors import WireError
from wallets.agent import journal
from wallets.agent.errors import BadData, NotFound
from wallets.agent.identity import SubscriptionKeys
from wallets.agent.journal import Kind
from wallets.agent.names import uuid_bytes
from wallets.agent.outbox import SEAL_APPEAL, Letter, queue

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent

LABEL = b"cssi/v1/standing"
CATEGORY = "standing"
EXCLUDED, UPHELD, REINSTATED = "excluded", "upheld", "reinstated"
SAID = {
    EXCLUDED: "This wallet is not asked any more.",
    UPHELD: "Your appeal was read and not granted.",
    REINSTATED: "This wallet is asked again.",
}
LONGEST_REASON = 1000


def verified(
    document: Mapping[str, Any], *, key: bytes, to: bytes, collective_id: str
) -> dict[str, Any] | None:
    """The letter when it is the aggregator's, to this subscription key; None otherwise."""
    body = {name: value for name, value in document.items() if name != "signature"}
    words = {"version": int, "revision": int, "created": int, "state": str, "reason": str}
    if set(body) != {*words, "collective_id", "subscription_key"} or not all(
        type(body[name]) is form for name, form in words.items()
    ):
        return None
    if body["version"] != 1 or body["state"] not in SAID or len(body["reason"]) > LONGEST_REASON:
        return None
    if (body["collective_id"], body["subscription_key"]) != (collective_id, to.hex()):
        return None
    try:
        signing.verify(key, LABEL, body, bytes.fromhex(str(document.get("signature", ""))))
    except (WireError, ValueError):
        return None
    return body


async def on_letter(agent: WalletAgent, *, to: bytes, collective_id: str, document: Mapping[str, Any]) -> str:
    """Keep a letter and tell the holder; `refused` when it is not the aggregator's word to this wallet."""
    letter = verified(document, key=agent.server.aggregator_key, to=to, collective_id=collective_id)
    if letter is None:
        return "refused"
    async with agent.store.transaction() as records:
        if await records.get("permit", collective_id) is None:
            return "refused"
        known = await records.get(CATEGORY, collective_id)
        if (
            known is not None
            and known["created"] >= letter["created"]
            and known["revision"] >= letter["revision"]
        ):
            return "done"  # said before
        kept = {name: letter[name] for name in ("state", "reason", "revision", "created")}
        await records.put(CATEGORY, collective_id, {**kept, "appeal": known["appeal"] if known else ""})
        await journal.append(
            records,
            agent.now(),
            Kind.NOTICE,
            collective_id=collective_id,
            code=letter["state"],
            sentence=f"{SAID[letter['state']]} {letter['reason']}"[:600],
        )
    agent.event("standing", collective_id=collective_id, state=letter["state"])
    return "done"


async def of(agent: WalletAgent, collective_id: str) -> dict[str, Any] | None:
    """{state, reason, appeal, created} when the aggregator said something about this wallet, for pages and commands."""
    return await agent.store.get(CATEGORY, collective_id)


def sentences(standing: Mapping[str, Any]) -> list[str]:
    """For the holder."""
    said = [SAID[standing["state"]], standing["reason"]]
    if standing["appeal"] and standing["state"] == EXCLUDED:
        said.append(f"You objected: “{standing['appeal']}”. An administrator will answer.")
    return said


async def appeal(agent: WalletAgent, collective_id: str, text: str) -> None:
    """Say why the exclusion is wrong; it may be said anew until it is decided.

    Raises:
        NotFound: nothing to appeal against.
        BadData: no text, or too much of it.
    """
    text = text.strip()
    if not 1 <= len(text) <= LONGEST_APPEAL:
        raise BadData(f"Say in 1 to {LONGEST_APPEAL:,} characters why this wallet should be asked again.")
    async with agent.store.transaction() as records:
        standing, kept = await records.get(CATEGORY, collective_id), await records.get("keys", collective_id)
        if standing is None or kept is None or standing["state"] != EXCLUDED:
            raise NotFound(
                "This wallet is not excluded there, or the appeal was decided already.", code="not_excluded"
            )
        said = Appeal.sign(
            SubscriptionKeys.from_record(kept).subscription,
            collective=uuid_bytes(collective_id),
            text=text.encode(),
            created=agent.now(),
        )
        letter = Letter(
            to="aggregator", method="PUT", path="/aggregator/appeals", body=said.to_bytes(), seal=SEAL_APPEAL
        )
        await queue(records, letter, agent.rng)
        await records.put(CATEGORY, collective_id, {**standing, "appeal": text})
        await journal.append(
            records,
            agent.now(),
            Kind.NOTICE,
            collective_id=collective_id,
            code="appeal",
            sentence="You objected to the exclusion.",
        )
    await agent.flush_outgoing()
