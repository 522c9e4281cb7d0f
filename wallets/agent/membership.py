"""Pairing, subscribing and leaving.

Subscribing: check the signed terms, check the data, ask the holder, make fresh keys, sign the agreement and the
subscription, send them, check and keep the permit. Leaving needs nobody's help: the permit and every key of the
subscription are removed and erased first; telling the servers is only tidying and waits in the outbox when they are down.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aggregation.secagg.messages import PayoutOpening
from aggregation.wire import signing
from aggregation.wire.secret import Secret
from collectives.terms import agreement
from collectives.terms.description import Terms, terms_hash
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from collectives.terms.permit import Permit
from wallets.agent import consent, credentials, journal, presentation, server
from wallets.agent.errors import BadData, Declined, NotFound, PeerNotTrusted, ProtocolFault, ServerRefused
from wallets.agent.identity import SubscriptionKeys, eip191_digest, new_subscription_keys, sign_digest
from wallets.agent.journal import Kind
from wallets.agent.messages import AskHolder, OfferArrived, Refused
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


def permit_of(record: Mapping[str, Any] | None) -> Permit | None:
    """The permit of a stored record. What was stored was verified, so a failure here is damage, not an attack."""
    return None if record is None else Permit.parse(record["permit"]["document"])


def requirement_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The data requirement the holder agreed to, from the signed terms kept beside the permit."""
    requirement: dict[str, Any] = record["terms"]["document"]["requirement"]
    return requirement


async def pair(agent: WalletAgent, link: server.PairingLink) -> str:
    """Pair with a server and an account; returns the account's label. The server's keys are pinned from here on.

    Raises PeerNotTrusted when the server is not the one the link names, ServerRefused for a used or expired code.
    """
    document = await server.fetch(agent.transport, link.url, link.pin)
    description = server.ServerDescription.parse(document)
    known = await agent.store.get(*server.RECORD)
    if known is not None and server.pin_of(known) != description.pin:
        raise PeerNotTrusted(
            "This wallet is already paired with another server. Create a second wallet for the other one."
        )
    private = await _mailbox_key(agent)
    created = agent.now()
    mailbox = signing.public_key(private)
    signature = signing.sign(
        private, b"cssi/v1/pair", {"code": link.code, "mailbox": mailbox, "created": created}
    )
    answer = await agent.transport.call(
        "POST",
        description.api_url("wallets/pair"),
        {"code": link.code, "mailbox_key": mailbox.hex(), "created": created, "signature": signature.hex()},
    )
    if server.pin_of(answer.get("server", document)) != description.pin:
        raise PeerNotTrusted(
            "The server changed its description while pairing. Get a new link and try again."
        )
    async with agent.store.transaction() as records:
        await records.put(*server.RECORD, document)
        await records.put("key", "mailbox", {"private": private.reveal().hex()})
        await records.remove("key", "mailbox-next")
        await journal.append(records, agent.now(), Kind.PAIRED, sentence="Paired with an account.")
    await agent.load()
    await agent.session.bind()
    agent.event("paired")
    return str(answer.get("account_label", ""))


async def _mailbox_key(agent: WalletAgent) -> Secret:
    """The mailbox key in use, or the one that is being paired: after a lost answer the same key comes again."""
    stored = await agent.store.get("key", "mailbox") or await agent.store.get("key", "mailbox-next")
    if stored is None:
        stored = {"private": signing.generate(agent.rng).reveal().hex()}
        await agent.store.put("key", "mailbox-next", stored)
    return Secret(bytes.fromhex(stored["private"]))


async def subscribe(agent: WalletAgent, offer: Mapping[str, Any], *, through_pairing: bool) -> Permit:
    """Subscribe on an offer document; the permit when it is in the store.

    Raises Declined (holder), BadData (what is missing), ServerRefused (collective), Unreachable (try again later).
    """
    async with agent.subscribing:
        return await _subscribe(agent, offer, through_pairing=through_pairing)


async def _subscribe(agent: WalletAgent, offer: Mapping[str, Any], *, through_pairing: bool) -> Permit:
    collective_id, envelope = str(offer["collective_id"]), offer["terms"]
    held = permit_of(await agent.store.get("permit", collective_id))
    event = OfferArrived(collective_id=collective_id, envelope=envelope, permit=held, now=agent.now())
    decision = agent.machine.decide(event)
    if isinstance(decision, Refused):
        await agent.record(
            Kind.REFUSED, collective_id=collective_id, code=decision.refusal.value, sentence=decision.sentence
        )
        raise ServerRefused(decision.sentence, code=decision.refusal.value, status=400)
    assert isinstance(decision, AskHolder)
    terms = decision.terms
    record = await credentials.load(agent.store)
    lacking = presentation.missing(record, terms.requirement)
    if lacking:
        await agent.record(
            Kind.REFUSED,
            collective_id=collective_id,
            code="data_missing",
            sentence="Your data does not meet the requirement.",
        )
        raise BadData(
            f"Your data does not meet the requirement yet: {'; '.join(lacking[:6])}.", code="data_missing"
        )
    agreed, how = await agent.consent.to_terms(terms, through_pairing=through_pairing)
    if not agreed:
        await _declined(agent, collective_id, offer)
        raise Declined(f"Not subscribed to {terms.name}.")
    return await _conclude(agent, terms, envelope, offer, how)


async def _conclude(
    agent: WalletAgent, terms: Terms, envelope: Mapping[str, Any], offer: Mapping[str, Any], how: str
) -> Permit:
    """Sign, send, check the permit, keep everything in one transaction."""
    collective_id = terms.collective_id
    record = await credentials.load(agent.store)
    draft = await _draft(agent, terms, record)
    keys = SubscriptionKeys.from_record(draft["keys"])
    answer = await agent.transport.call(
        "POST", agent.server.api_url(f"collectives/{collective_id}/subscriptions"), draft["subscription"]
    )
    permit = _checked_permit(answer, terms, keys, draft)
    receipt = consent.receipt(
        terms=terms,
        terms_hash=permit.terms_hash,
        subscription_key=permit.subscription_key,
        fields=list(terms.requirement["properties"]),
        how=how,
        now=agent.now(),
        expires=permit.expires,
    )
    async with agent.store.transaction() as records:
        await records.put(
            "permit",
            collective_id,
            {
                "permit": answer,
                "terms": dict(envelope),
                "commitment": draft["commitment"],
                "commitment_seed": draft["seed"],
                "subscribed": agent.now(),
                "offer_ref": str(offer.get("offer_ref", "")),
            },
        )
        await records.put("keys", collective_id, draft["keys"])
        await records.put("payout", permit.subscription_key, _payout_record(keys, terms))
        await records.remove("draft", collective_id)
        await records.put(
            "consent",
            permit.subscription_key,
            SignedDocument.sign("consent", receipt, keys.subscription).to_json(),
        )
        await _queue_opening(agent, records, keys, permit)
        await _queue_link(
            agent,
            records,
            collective_id,
            permit.subscription_key,
            str(offer.get("offer_ref", "")),
            "subscribed",
        )
        await journal.append(
            records,
            agent.now(),
            Kind.SUBSCRIBED,
            collective_id=collective_id,
            sentence=f"Subscribed to {terms.name} ({how}).",
        )
    await agent.subscribed(collective_id, keys.public)
    agent.spawn(agent.flush_outgoing())
    return permit


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


async def earnings(agent: WalletAgent) -> list[dict[str, Any]]:
    """Per payout address: what the market says is pending and paid. Addresses of ended subscriptions are kept."""
    lines = []
    for record in (await agent.store.list("payout")).values():
        answer = await agent.transport.call("GET", agent.server.api_url(f"payouts/{record['address']}"))
        lines.append({"name": record["name"], "address": record["address"], **answer})
    return lines


async def _draft(agent: WalletAgent, terms: Terms, record: dict[str, Any]) -> dict[str, Any]:
    """Keys and the signed subscription, kept before they are sent: a repeat after a lost answer sends the same bytes."""
    kept = await agent.store.get("draft", terms.collective_id)
    digest = terms_hash(terms)
    if kept is not None and kept["terms_hash"] == digest:
        return kept
    keys = new_subscription_keys(agent.rng)
    seed = agent.rng(32)
    presence = presentation.present(record, terms.requirement, seed)
    subscription = _subscription(agent, terms, keys, presence)
    draft = {
        "terms_hash": digest,
        "agreement_hash": agreement.agreement_hash(subscription["document"]["agreement"]),
        "keys": keys.to_record(),
        "seed": seed.hex(),
        "commitment": presence.commitment.hex(),
        "subscription": subscription,
    }
    await agent.store.put("draft", terms.collective_id, draft)
    return draft


def _subscription(
    agent: WalletAgent, terms: Terms, keys: SubscriptionKeys, presence: presentation.Presence
) -> dict[str, Any]:
    """The signed subscription: the agreement, the agreement key's vouching for the pseudonym, and the presence statement."""
    now = agent.now()
    message = agreement.build(
        collective_id=terms.collective_id,
        terms_hash=terms_hash(terms),
        requirement_hash=terms.requirement_hash,
        rate=terms.rate,
        payout_hash=agreement.payout_hash(keys.payout_address, keys.payout_salt),
        valid_from=now,
        valid_until=now + terms.valid_seconds,
        nonce=int.from_bytes(agent.rng(8), "big"),
    )
    digest = agreement.signing_digest(message, chain_id=terms.chain_id, registry=terms.registry)
    document = {
        "version": 1,
        "collective_id": terms.collective_id,
        "terms_hash": terms_hash(terms),
        "requirement_hash": terms.requirement_hash,
        "subscription_key": keys.public.hex(),
        "agreement": message,
        "agreement_signer": "0x" + keys.agreement_address.hex(),
        "agreement_signature": sign_digest(keys.agreement, digest).hex(),
        "cross_signature": sign_digest(keys.agreement, eip191_digest(keys.public)).hex(),
        "presence": presence.to_document(),
        "created": now,
    }
    return SignedDocument.sign("subscription", document, keys.subscription).to_json()


def _checked_permit(answer: Any, terms: Terms, keys: SubscriptionKeys, draft: Mapping[str, Any]) -> Permit:
    """The permit must be signed by the key in the terms and say what was agreed."""
    try:
        signed = SignedDocument.from_json(answer)
        permit = Permit.parse(signed.open("permit", terms.collective_key))
    except TermsError as error:
        raise ProtocolFault(f"The collective's permit is not valid: {error}", code="bad_permit") from None
    agreed = (
        permit.collective_id == terms.collective_id
        and permit.collective_key == terms.collective_key
        and permit.terms_hash == draft["terms_hash"]
        and permit.requirement_hash == terms.requirement_hash
        and permit.subscription_key == keys.public.hex()
        and permit.agreement_hash == draft["agreement_hash"]
        and permit.rate == terms.rate
        and permit.bucket_min >= terms.bucket_min
        and permit.release_min >= terms.release_min
        and permit.notice_seconds >= terms.notice_seconds
        and set(permit.manifests) <= set(terms.permitted_manifests)
    )
    if not agreed:
        raise ProtocolFault(
            "The collective's permit does not say what the terms say. Nothing was kept.", code="bad_permit"
        )
    return permit


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
    await _queue_link(agent, records, collective_id, permit.subscription_key, stored["offer_ref"], "revoked")
    for category in ("permit", "keys", "memory", "draft"):
        await records.remove(category, collective_id)
    for category in ("jobkey", "revealed"):
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


async def _declined(agent: WalletAgent, collective_id: str, offer: Mapping[str, Any]) -> None:
    async with agent.store.transaction() as records:
        await journal.append(records, agent.now(), Kind.OFFER, collective_id=collective_id, code="declined")
        await _queue_link(agent, records, collective_id, "", str(offer.get("offer_ref", "")), "declined")
    agent.spawn(agent.flush_outgoing())


async def _queue_link(
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


async def _queue_opening(
    agent: WalletAgent, records: Records, keys: SubscriptionKeys, permit: Permit
) -> None:
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


def _payout_record(keys: SubscriptionKeys, terms: Terms) -> dict[str, str]:
    """What must outlive the subscription: money already earned is still paid to this key."""
    return {
        "private": keys.payout.reveal().hex(),
        "address": "0x" + keys.payout_address.hex(),
        "name": terms.name,
    }
