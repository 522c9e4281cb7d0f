"""Pairing and subscribing (leaving is in `leaving`).

Subscribing: check the signed terms, check the data, ask the holder, make fresh keys, sign the agreement and the
subscription, send them, check and keep the permit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aggregation.wire import signing
from aggregation.wire.secret import Secret
from collectives.terms import agreement
from collectives.terms.description import Terms, terms_hash
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from collectives.terms.permit import Permit
from wallets.agent import credentials, journal, letters, permits, presentation, receipts, server
from wallets.agent.errors import (
    BadData,
    Declined,
    PeerNotTrusted,
    ProtocolFault,
    ServerRefused,
    WalletError,
)
from wallets.agent.identity import SubscriptionKeys, eip191_digest, new_subscription_keys, sign_digest
from wallets.agent.journal import Kind
from wallets.agent.messages import AskHolder, OfferArrived, Refusal, Refused
from wallets.agent.patience import patiently
from wallets.agent.sandbox.policy import Level

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent

WHILE_OPEN = 20
"""Attempts of a wallet that stays open: some quarter of an hour."""
SHORTEST = 3600
"""Seconds; no terms are shorter."""
FRESH_SECONDS = 300  # half of what a collective allows between a statement and its own clock


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


async def subscribe(
    agent: WalletAgent, offer: Mapping[str, Any], *, through_pairing: bool, attempts: int = 1
) -> Permit:
    """Subscribe on an offer document; the permit when it is in the store.

    `attempts`: how often the collective is asked while it does not answer; the holder is asked once all the same.
    Raises Declined (holder), BadData (what is missing), ServerRefused (collective), Unreachable (try again later).
    """
    async with agent.subscribing:
        return await _subscribe(agent, offer, through_pairing=through_pairing, attempts=attempts)


async def _subscribe(
    agent: WalletAgent, offer: Mapping[str, Any], *, through_pairing: bool, attempts: int
) -> Permit:
    collective_id, envelope = str(offer["collective_id"]), offer["terms"]
    held = permits.permit_of(await agent.store.get("permit", collective_id))
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
    lacking = await presentation.lacking(agent, record, terms.requirement)
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
    await _fitting_sandbox(agent, terms)
    agreed, how = await agent.consent.to_terms(terms, through_pairing=through_pairing)
    if not agreed:
        await _declined(agent, collective_id, offer)
        raise Declined(f"Not subscribed to {terms.name}.")
    try:
        draft, answer = await _sent(agent, terms, lasting(offer, terms), attempts)
        permit = _checked_permit(answer, terms, SubscriptionKeys.from_record(draft["keys"]), draft)
    except WalletError as error:
        sentence = f"Not subscribed to {terms.name}: {error.sentence}"[:300]
        await agent.record(Kind.OFFER, collective_id=collective_id, code=error.code, sentence=sentence)
        raise
    kept = {
        "permit": answer,
        "terms": dict(envelope),
        "commitment": draft["commitment"],
        "commitment_seed": draft["seed"],
        "subscribed": agent.now(),
        "offer_ref": str(offer.get("offer_ref", "")),
    }
    await _keep(agent, terms, permit, draft["keys"], kept, how)
    return permit


def lasting(offer: Mapping[str, Any], terms: Terms) -> int:
    """How long the permission is signed for, in seconds: what the holder wants where that is shorter than the terms."""
    wanted = offer.get("valid_seconds")
    usable = isinstance(wanted, int) and not isinstance(wanted, bool) and wanted >= SHORTEST
    return min(wanted, terms.valid_seconds) if usable else terms.valid_seconds


async def _sent(agent: WalletAgent, terms: Terms, lasts: int, attempts: int) -> tuple[dict[str, Any], Any]:
    """The draft that was sent and the collective's answer.

    A collective that refuses knows nothing of the draft's keys, so the draft is dropped. Was it an old one (a wallet that was
    offline for long), its proof of presence may simply be stale, and a fresh one is made and sent.
    """
    url = agent.server.api_url(f"collectives/{terms.collective_id}/subscriptions")
    while True:
        draft = await _draft(agent, terms, lasts)
        document = draft["subscription"]

        async def send(document: Any = document) -> Any:
            return await agent.transport.call("POST", url, document)

        try:
            return draft, await patiently(send, rng=agent.rng, longest=60.0, attempts=attempts)
        except ServerRefused as refused:
            if not refused.permanent:
                raise
            await agent.store.remove("draft", terms.collective_id)
            if document["document"]["created"] > agent.now() - FRESH_SECONDS:
                raise


async def _fitting_sandbox(agent: WalletAgent, terms: Terms) -> None:
    """The sandbox's level is told only to a collective whose terms ask for it."""
    if terms.sandbox == "full" and await agent.sandbox_level() is not Level.FULL:
        refused = Refused(
            refusal=Refusal.SANDBOX_TOO_LOW, detail=f"Missing: {', '.join(sorted(agent.launcher.missing))}."
        )
        await agent.record(
            Kind.REFUSED,
            collective_id=terms.collective_id,
            code=refused.refusal.value,
            sentence=refused.sentence,
        )
        raise Declined(refused.sentence, code=refused.refusal.value)


async def _keep(
    agent: WalletAgent,
    terms: Terms,
    permit: Permit,
    key_record: dict[str, Any],
    kept: dict[str, Any],
    how: str,
) -> None:
    """Everything of a subscription in one transaction, and what must be told of it queued."""
    collective_id, keys = terms.collective_id, SubscriptionKeys.from_record(key_record)
    async with agent.store.transaction() as records:
        await records.put("permit", collective_id, kept)
        await records.put("keys", collective_id, key_record)
        await records.put("payout", permit.subscription_key, _payout_record(keys, terms))
        await records.remove("draft", collective_id)
        receipt = receipts.given(
            terms=terms,
            permit=permit,
            fields=list(terms.requirement["properties"]),
            how=how,
            now=agent.now(),
        )
        signed = SignedDocument.sign(receipts.KIND, receipt, keys.subscription).to_json()
        await records.put(receipts.CATEGORY, permit.subscription_key, signed)
        await letters.queue_opening(agent, records, keys, permit)
        await letters.queue_link(
            agent, records, collective_id, permit.subscription_key, kept["offer_ref"], "subscribed"
        )
        sentence = f"Subscribed to {terms.name} ({how})."
        await journal.append(
            records, agent.now(), Kind.SUBSCRIBED, collective_id=collective_id, sentence=sentence
        )
    await agent.subscribed(collective_id, keys.public)
    agent.spawn(agent.flush_outgoing())


async def _draft(agent: WalletAgent, terms: Terms, lasts: int) -> dict[str, Any]:
    """Keys and the signed subscription, kept before they are sent: a repeat after a lost answer sends the same bytes."""
    kept = await agent.store.get("draft", terms.collective_id)
    digest = terms_hash(terms)
    if kept is not None and kept["terms_hash"] == digest and kept.get("lasts", terms.valid_seconds) == lasts:
        return kept
    keys = new_subscription_keys(agent.rng)
    seed = agent.rng(32)
    now = agent.now()
    presence = await presentation.prove(
        agent,
        terms.requirement,
        collective_id=terms.collective_id,
        subscription_key=keys.public,
        seed=seed,
        created=now,
    )
    subscription = _subscription(agent, terms, keys, presence, now, lasts)
    draft = {
        "terms_hash": digest,
        "lasts": lasts,
        "agreement_hash": agreement.agreement_hash(subscription["document"]["agreement"]),
        "keys": keys.to_record(),
        "seed": seed.hex(),
        "commitment": presence.commitment.hex(),
        "subscription": subscription,
    }
    await agent.store.put("draft", terms.collective_id, draft)
    return draft


def _subscription(
    agent: WalletAgent,
    terms: Terms,
    keys: SubscriptionKeys,
    presence: presentation.Presence,
    now: int,
    lasts: int,
) -> dict[str, Any]:
    """The signed subscription: the agreement, the agreement key's vouching for the pseudonym, and the presence statement."""
    message = agreement.build(
        collective_id=terms.collective_id,
        terms_hash=terms_hash(terms),
        requirement_hash=terms.requirement_hash,
        rate=terms.rate,
        payout_hash=agreement.payout_hash(keys.payout_address, keys.payout_salt),
        valid_from=now,
        valid_until=now + lasts,
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
    if terms.sandbox == "full":
        document["sandbox"] = agent.launcher.level.value
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
        and permit.expires <= int(draft["subscription"]["document"]["agreement"]["validUntil"])
        and permit.bucket_min >= terms.bucket_min
        and permit.release_min >= terms.release_min
        and permit.notice_seconds >= terms.notice_seconds
        and permit.silence == terms.silence
        and permit.algorithm_class == terms.algorithm_class
        and set(permit.manifests) <= set(terms.permitted_manifests)
    )
    if not agreed:
        raise ProtocolFault(
            "The collective's permit does not say what the terms say. Nothing was kept.", code="bad_permit"
        )
    return permit


async def _declined(agent: WalletAgent, collective_id: str, offer: Mapping[str, Any]) -> None:
    async with agent.store.transaction() as records:
        await journal.append(records, agent.now(), Kind.OFFER, collective_id=collective_id, code="declined")
        await letters.queue_link(
            agent, records, collective_id, "", str(offer.get("offer_ref", "")), "declined"
        )
    agent.spawn(agent.flush_outgoing())


def _payout_record(keys: SubscriptionKeys, terms: Terms) -> dict[str, str]:
    """What must outlive the subscription: money already earned is still paid to this key."""
    return {
        "private": keys.payout.reveal().hex(),
        "address": "0x" + keys.payout_address.hex(),
        "name": terms.name,
    }
