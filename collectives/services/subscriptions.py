"""Subscribe and leave. Six steps: offer, consent and signature in the wallet, registration, permit, permit kept, pseudonym kept."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils import to_checksum_address

from collectives.errors import CollectiveError
from collectives.models import Admission, Collective, OutgoingCall, Subscription, TermsVersion
from collectives.services import presence
from collectives.services.keys import signing_key
from collectives.services.outgoing import enqueue, enqueue_first
from collectives.services.together import Together
from collectives.terms import agreement as agreements
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from collectives.terms.permit import Permit, Revocation
from collectives.terms.permit import Subscription as SubscriptionDocument

CLOCK_SKEW = 600


def subscribe(*, collective_id: uuid.UUID, envelope: Mapping[str, Any]) -> dict[str, Any]:
    """Check a signed subscription, keep it, and answer with the permit envelope. The same bytes again get the same permit.

    Raises:
        CollectiveError: malformed, stale terms, wrong agreement, `already_subscribed`, collective suspended.
    """
    terms = _newest_terms(collective_id)
    signed, document = _opened(envelope)
    try:
        return _subscribed(terms, envelope, signed, document)
    except CollectiveError:
        # Nearly every key is new, so whether it is known is looked up only where it could not be kept. What is known wins over
        # every other reason: a wallet that got no answer asks again, and the collective may have changed meanwhile.
        known = Subscription.objects.filter(subscription_key=document.subscription_key).first()
        if known is None:
            raise
        if known.envelope_hash == signed.hash and known.status == Subscription.Status.ACTIVE:
            return dict(known.permit)
        raise CollectiveError(
            "already_subscribed", "This key has a subscription already; use a fresh one.", status=409
        ) from None


def _subscribed(
    terms: TermsVersion, envelope: Mapping[str, Any], signed: SignedDocument, document: SubscriptionDocument
) -> dict[str, Any]:
    """Every check and the row of a key that is new; the permit."""
    collective = terms.collective
    if collective.status != Collective.Status.ACTIVE:
        raise CollectiveError(
            "suspended",
            "This collective is suspended: %(why)s",
            status=409,
            why=collective.status_reason,
        )
    _check_terms(terms, document)
    _check_agreement(document, terms)
    presence.check(
        requirement=terms.document["requirement"],
        presence=document.presence,
        collective_id=document.collective_id,
        subscription_key=document.subscription_key,
        created=document.created,
    )
    new = Subscription(
        collective=collective,
        terms=terms,
        subscription_key=document.subscription_key,
        document=dict(envelope),
        envelope_hash=signed.hash,
        permit=_permit(collective, terms, document),
    )
    new.agreement_hash = new.permit["document"]["agreement_hash"]
    new.expires_at = datetime.fromtimestamp(new.permit["document"]["expires"], UTC)
    _keeping.put(new)
    return dict(new.permit)


def _keep(batch: Sequence[Subscription]) -> list[Exception | None]:
    """Rows of new subscriptions, and what the distributor must be told of them, in one transaction; where that fails, each by itself."""
    try:
        with transaction.atomic(durable=True):
            Subscription.objects.bulk_create(batch)
            told = enqueue_first([_newcomer(new) for new in batch])
            if notices := list(_running_notices(batch, told)):
                enqueue_first(notices)
    except IntegrityError as error:
        if len(batch) > 1:
            return [outcome for new in batch for outcome in _keep([_again(new)])]
        known = CollectiveError("already_subscribed", "This subscription is known already.", status=409)
        known.__cause__ = error
        return [known]
    return [None] * len(batch)


_keeping: Together[Subscription, None] = Together(_keep)


def _again(new: Subscription) -> Subscription:
    """As it was before it was inserted in a transaction that did not hold."""
    new.pk, new._state.adding = None, True
    return new


def _newcomer(new: Subscription) -> OutgoingCall:
    return OutgoingCall(
        key=f"subscriber:{new.subscription_key}",
        method="PUT",
        path=f"/collectives/{new.collective_id}/subscribers/{new.subscription_key}",
        body={"terms_hash": new.terms.hash, "expires": new.permit["document"]["expires"]},
    )


def _running_notices(batch: Sequence[Subscription], told: Sequence[OutgoingCall]) -> Iterator[OutgoingCall]:
    """Newcomers must see every announced algorithm too, and get the full notice period for it.

    Those the terms name were agreed to by subscribing; nobody is asked again. Read in the transaction that keeps the newcomers: an
    algorithm announced after it is told to them as subscribers.
    """
    ours = {new.collective_id for new in batch}
    running = list(
        Admission.objects.filter(collective__in=ours)
        .exclude(status=Admission.Status.WITHDRAWN)
        .values_list("pk", "collective_id", "algorithm__manifest_hash")
    )
    notices = {}
    for new, after in zip(batch, told, strict=True):
        for ident, collective_id, manifest in running:
            if collective_id != new.collective_id or manifest in new.terms.document["permitted_manifests"]:
                continue
            if ident not in notices:
                notices[ident] = Admission.objects.values_list("notice", flat=True).get(pk=ident)
            yield OutgoingCall(
                key=f"notice:{ident}:{new.subscription_key}",
                method="PUT",
                path=f"/collectives/{collective_id}/notices/{ident}/subscribers/{new.subscription_key}",
                body={"envelope": notices[ident]},
                after=after,
            )


def revoke_by_holder(*, collective_id: uuid.UUID, envelope: Mapping[str, Any]) -> None:
    """The wallet deleted its permit and says so. Repeating it changes nothing.

    Raises:
        CollectiveError: malformed, or signed by another key than the subscription's.
    """
    try:
        signed = SignedDocument.from_json(envelope)
        revocation = Revocation.parse(signed.open("revocation"))
    except TermsError as error:
        raise CollectiveError.because(error) from error
    if signed.key != revocation.subscription_key or revocation.collective_id != str(collective_id):
        raise CollectiveError(
            "wrong_key", "A revocation is signed by the subscription's own key.", status=403
        )
    _revoke(collective_id, revocation.subscription_key, by="wallet", notify=False)


def revoke_from_web(*, collective_id: uuid.UUID, subscription_key: str) -> None:
    """The person clicked Revoke on the web: stop asking at once, tell the wallet at its next contact."""
    _revoke(collective_id, subscription_key, by="web", notify=True)


def _revoke(collective_id: uuid.UUID, subscription_key: str, *, by: str, notify: bool) -> None:
    with transaction.atomic(durable=True):
        found = (
            Subscription.objects.select_for_update()
            .filter(collective_id=collective_id, subscription_key=subscription_key)
            .first()
        )
        if found is None:
            raise CollectiveError(
                "unknown_subscription", "This collective knows no such subscription.", status=404
            )
        if found.status == Subscription.Status.REVOKED:
            return
        found.status, found.revoked_at, found.revoked_by = Subscription.Status.REVOKED, timezone.now(), by
        found.save(update_fields=["status", "revoked_at", "revoked_by"])
        enqueue(
            key=f"revoked:{subscription_key}",
            method="DELETE",
            path=f"/collectives/{collective_id}/subscribers/{subscription_key}",
            body={"notify": notify},
            after=OutgoingCall.objects.filter(key=f"subscriber:{subscription_key}").first(),
        )


def _newest_terms(collective_id: uuid.UUID) -> TermsVersion:
    """The terms in force, and their collective with them."""
    rows = TermsVersion.objects.filter(collective_id=collective_id).order_by("-version")
    found = rows.select_related("collective").defer("document").first()
    if found is None:
        if Collective.objects.filter(pk=collective_id).exists():
            raise CollectiveError("wrong_collective", "The subscription is for another collective.")
        raise CollectiveError("unknown_collective", "There is no such collective.", status=404)
    found.document = _document(found.pk, found.hash)
    return found


@lru_cache(maxsize=32)
def _document(terms: int, _hash: str) -> dict[str, Any]:
    """The text of a version of the terms, read and parsed once: a version never changes. Shared, so nobody may write into it."""
    return dict(TermsVersion.objects.values_list("document", flat=True).get(pk=terms))


def _opened(envelope: Mapping[str, Any]) -> tuple[SignedDocument, SubscriptionDocument]:
    try:
        signed = SignedDocument.from_json(envelope)
        document = SubscriptionDocument.parse(signed.open("subscription"))
    except TermsError as error:
        raise CollectiveError.because(error) from error
    if signed.key != document.subscription_key:
        raise CollectiveError("wrong_key", "A subscription is signed by its own key.")
    if abs(document.created - int(time.time())) > CLOCK_SKEW:
        raise CollectiveError(
            "clock", "The wallet's clock and ours differ by more than ten minutes. Set the clock."
        )
    return signed, document


def _check_terms(terms: TermsVersion, document: SubscriptionDocument) -> None:
    if document.collective_id != str(terms.collective_id):
        raise CollectiveError("wrong_collective", "The subscription is for another collective.")
    if document.terms_hash != terms.hash or document.requirement_hash != terms.document["requirement_hash"]:
        raise CollectiveError(
            "stale_terms", "The terms have changed. Review the current ones and subscribe again.", status=409
        )
    if terms.document.get("sandbox") == "full" and document.sandbox != "full":
        raise CollectiveError(
            "sandbox_too_low",
            "This collective takes wallets whose sandbox has every layer, and yours has not.",
        )


def _check_agreement(document: SubscriptionDocument, terms: TermsVersion) -> None:
    """The signed contract must be the one induced from the terms, by the key that vouches for the subscription key."""
    place, message = terms.document["agreement"], document.agreement
    digest = agreements.signing_digest(message, chain_id=place["chain_id"], registry=place["registry"])
    expected = {
        "collectiveId": agreements.collective_bytes(document.collective_id).hex(),
        "rate": terms.document["rate"],
        "termsHash": terms.hash,
    }
    if any(message[name] != value for name, value in expected.items()):
        raise CollectiveError("wrong_agreement", "The agreement does not say what the terms say.")
    now = int(time.time())
    if not message["validFrom"] - CLOCK_SKEW <= now < message["validUntil"]:
        raise CollectiveError("wrong_agreement", "The agreement is not valid now. Sign one that begins now.")
    if message["validUntil"] - message["validFrom"] > terms.document["valid_seconds"]:
        raise CollectiveError("wrong_agreement", "The agreement is valid for longer than the terms allow.")
    try:
        signer = to_checksum_address(document.agreement_signer)
        agreed = Account._recover_hash(digest, signature=bytes.fromhex(document.agreement_signature))
        cross = encode_defunct(bytes.fromhex(document.subscription_key))
        vouched = Account.recover_message(cross, signature=bytes.fromhex(document.cross_signature))
    except Exception as error:  # eth libraries raise many kinds on a malformed signature
        raise CollectiveError(
            "bad_agreement_signature", "A signature of the agreement cannot be read."
        ) from error
    if agreed != signer or vouched != signer:
        raise CollectiveError("bad_agreement_signature", "The agreement is not signed by the key it names.")


def _permit(collective: Collective, terms: TermsVersion, document: SubscriptionDocument) -> dict[str, Any]:
    now = int(time.time())
    text = terms.document
    permit = Permit(
        collective_id=str(collective.id),
        collective_key=collective.public_key,
        name=text["name"],
        terms_hash=terms.hash,
        requirement_hash=text["requirement_hash"],
        subscription_key=document.subscription_key,
        agreement_hash=agreements.agreement_hash(document.agreement),
        manifests=tuple(text["permitted_manifests"]),
        algorithm_class=text["algorithm_class"],
        notice_seconds=text["notice_seconds"],
        silence=text["silence"],
        rate=int(text["rate"]),
        bucket_min=text["bucket_min"],
        release_min=text["release_min"],
        issued=now,
        expires=min(now + text["valid_seconds"], int(document.agreement["validUntil"])),
    )
    return SignedDocument.sign("permit", permit.to_document(), signing_key(collective)).to_json()
