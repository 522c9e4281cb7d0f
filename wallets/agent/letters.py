"""What the wallet writes to servers on its own account, queued in the transaction it belongs to: links, openings, answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aggregation.secagg.messages import PayoutOpening
from aggregation.wire import signing
from aggregation.wire.secret import Secret
from collectives.terms.envelope import SignedDocument
from collectives.terms.permit import Permit
from wallets.agent.errors import NotFound
from wallets.agent.identity import SubscriptionKeys
from wallets.agent.outbox import Letter, queue

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent
    from wallets.agent.vault import Records


async def queue_notice_answer(
    agent: WalletAgent, records: Records, collective_id: str, notice_ref: str, choice: str
) -> None:
    """Write the signed answer to a notice into the outbox."""
    stored = await records.get("keys", collective_id)
    if stored is None:
        raise NotFound("This subscription has ended.")
    keys = SubscriptionKeys.from_record(stored)
    document = {
        "version": 1,
        "collective_id": collective_id,
        "notice_ref": notice_ref,
        "subscription_key": keys.public.hex(),
        "choice": str(choice),
        "created": agent.now(),
    }
    envelope = SignedDocument.sign("notice-answer", document, keys.subscription).to_json()
    path = f"collectives/{collective_id}/notice-answers"
    await queue(records, Letter(to="api", method="POST", path=path, json_body=envelope), agent.rng)


async def queue_link(
    agent: WalletAgent,
    records: Records,
    collective_id: str,
    subscription_key: str,
    offer_ref: str,
    state: str,
) -> None:
    """Tell the market for the person's own page; only a wallet that was paired has something to tell."""
    mailbox = await records.get("key", "mailbox")
    if mailbox is None or not offer_ref:
        return
    private = Secret(bytes.fromhex(mailbox["private"]))
    body = {
        "offer_ref": offer_ref,
        "mailbox_key": signing.public_key(private).hex(),
        "collective_id": collective_id,
        "subscription_key": subscription_key,
        "state": state,
        "created": agent.now(),
    }
    signature = signing.sign(private, b"cssi/v1/link", body).hex()
    letter = Letter(to="api", method="POST", path="wallets/links", json_body={**body, "signature": signature})
    await queue(records, letter, agent.rng)


async def queue_move(records: Records, rng: Callable[[int], bytes], *, now: int) -> bool:
    """A mailbox key of this copy's own, and the letter that moves the mailbox to it; False for a wallet never paired.

    From here on the copy this one was made from hears nothing more of the account.
    """
    mailbox = await records.get("key", "mailbox")
    if mailbox is None:
        return False
    old, new = Secret(bytes.fromhex(mailbox["private"])), signing.generate(rng)
    keys = {"mailbox": signing.public_key(old), "new_mailbox": signing.public_key(new)}
    signed = {**keys, "created": now}
    body = {
        "mailbox_key": keys["mailbox"].hex(),
        "new_mailbox_key": keys["new_mailbox"].hex(),
        "created": now,
        "signature": signing.sign(old, b"cssi/v1/move", signed).hex(),
        "new_signature": signing.sign(new, b"cssi/v1/move", signed).hex(),
    }
    await records.put("key", "mailbox", {"private": new.reveal().hex()})
    await queue(records, Letter(to="api", method="POST", path="wallets/move", json_body=body), rng)
    return True


async def queue_opening(agent: WalletAgent, records: Records, keys: SubscriptionKeys, permit: Permit) -> None:
    opening = PayoutOpening.sign(
        keys.subscription,
        address=keys.payout_address,
        salt=keys.payout_salt,
        agreement_hash=bytes.fromhex(permit.agreement_hash),
    )
    letter = Letter(
        to="aggregator", method="PUT", path="/aggregator/payout-openings", body=opening.to_bytes()
    )
    await queue(records, letter, agent.rng)
