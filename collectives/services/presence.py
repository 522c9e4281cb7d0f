"""Whether a subscription's data is present as its requirement asks: by the holder's word, or by a trusted issuer's.

A presentation must be from an issuer the field names, bound to the holder's key, made for this collective and exactly this
statement, not revoked, and show that the field's value meets this requirement's rule. Values are never disclosed to us.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.core.cache import cache
from django.db import IntegrityError

from attestation.formats import credential, facts, proofs, status
from attestation.formats.errors import AttestationError
from collectives.errors import CollectiveError
from collectives.models import PresenceStatement, Subscription
from collectives.terms import presence as documents
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from collectives.terms.requirements import requirement_hash
from collectives.terms.sentences import Sentence

CLOCK_SKEW = 600
FETCH_SECONDS = 5.0
CACHED_SECONDS = 60
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def check(
    *,
    requirement: Mapping[str, Any],
    presence: Mapping[str, Any],
    collective_id: str,
    subscription_key: str,
    created: int,
) -> None:
    """Raises:
    CollectiveError: `presence_level`, or the code of what is wrong with a presentation; `status_unknown` (503) to try again.
    """
    asked, unlinkable = facts.asked(requirement), facts.asked(requirement, "unlinkable")
    if (presence["level"] == "attested") != bool(asked or unlinkable):
        wanted = (
            Sentence("an issuer's word for some fields")
            if asked or unlinkable
            else Sentence("the holder's word alone")
        )
        raise CollectiveError("presence_level", "This requirement asks for %(wanted)s.", wanted=wanted)
    nonce = facts.nonce(
        collective_id=collective_id,
        requirement_hash=requirement_hash(requirement),
        subscription_key=subscription_key,
        commitment=presence["commitment"],
        created=created,
    )
    trusted = {issuer for issuers in asked.values() for issuer in issuers}
    sent = presence.get("attestations", ())
    try:
        shown = [_verified(text, trusted, collective_id, nonce) for text in sent if not proofs.is_proof(text)]
        proven = [text for text in sent if proofs.is_proof(text)]
        proofs.check(proven, unlinkable, requirement, created, nonce, int(time.time()))
        for name, issuers in asked.items():
            mine = [claims for claims in shown if claims.issuer in issuers and name in claims.facts]
            facts.check_fact(mine[0].facts if mine else {}, name, requirement["properties"][name])
    except AttestationError as error:
        unknown = error.code == "status_unknown"
        raise CollectiveError(error.code, str(error), status=503 if unknown else 400) from error


def restate(*, collective_id: uuid.UUID, envelope: Mapping[str, Any]) -> None:
    """The wallet's data changed: check and keep the new statement. The same bytes again change nothing.

    Raises:
        CollectiveError: malformed, `unknown_subscription`, `clock`, `stale_terms`, and what `check` raises.
    """
    try:
        signed = SignedDocument.from_json(envelope)
        statement = documents.PresenceStatement.parse(signed.open("presence"))
    except TermsError as error:
        raise CollectiveError.because(error) from error
    if signed.key != statement.subscription_key or statement.collective_id != str(collective_id):
        raise CollectiveError("wrong_key", "A statement is signed by the subscription's own key.", status=403)
    if PresenceStatement.objects.filter(envelope_hash=signed.hash).exists():
        return
    found = (
        Subscription.objects.select_related("terms")
        .filter(
            collective_id=collective_id,
            subscription_key=statement.subscription_key,
            status=Subscription.Status.ACTIVE,
        )
        .first()
    )
    if found is None:
        raise CollectiveError(
            "unknown_subscription", "This collective knows no such subscription.", status=404
        )
    if abs(statement.created - int(time.time())) > CLOCK_SKEW:
        raise CollectiveError(
            "clock", "The wallet's clock and ours differ by more than ten minutes. Set the clock."
        )
    requirement = found.terms.document["requirement"]
    if statement.requirement_hash != requirement_hash(requirement):
        raise CollectiveError("stale_terms", "The statement is about another data requirement.", status=409)
    check(
        requirement=requirement,
        presence=statement.presence,
        collective_id=statement.collective_id,
        subscription_key=statement.subscription_key,
        created=statement.created,
    )
    try:
        PresenceStatement.objects.create(
            subscription=found,
            commitment=statement.presence["commitment"],
            envelope_hash=signed.hash,
            document=dict(envelope),
        )
    except IntegrityError:
        return  # the same statement came twice at once


def _verified(text: str, trusted: set[str], audience: str, nonce: str) -> credential.Claims:
    now = int(time.time())
    claims = credential.verify_presentation(text, issuers=trusted, audience=audience, nonce=nonce, now=now)
    if claims.record:
        raise AttestationError(
            "malformed", "The presentation discloses a value. This collective must not see one."
        )
    status.check(
        _status_list(claims.status_uri),
        issuer=claims.issuer,
        uri=claims.status_uri,
        index=claims.status_index,
        now=now,
    )
    return claims


def _status_list(uri: str) -> str:
    """The list, seldom older than a minute. The address was signed by an issuer that the requirement names."""
    key = f"statuslist:{uuid.uuid5(uuid.NAMESPACE_URL, uri)}"
    kept = cache.get(key)
    if kept is not None:
        return str(kept)
    parts = urlsplit(uri)
    nearby = settings.DEVELOPMENT and parts.scheme == "http" and parts.hostname in LOOPBACK
    if parts.scheme != "https" and not nearby:
        raise AttestationError("status_unknown", "The issuer's status list has no encrypted address.")
    token = _fetch(uri)
    cache.set(key, token, CACHED_SECONDS)
    return token


def _fetch(uri: str) -> str:
    try:
        with (
            httpx.Client(timeout=FETCH_SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", uri) as answer,
        ):
            answer.raise_for_status()
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > status.LARGEST_TOKEN:
                    raise AttestationError("status_unknown", "The issuer's status list is too long.")
    except httpx.HTTPError:
        raise AttestationError(
            "status_unknown", "The issuer's status list cannot be read now. Try again later."
        ) from None
    return body.decode("ascii", "replace")
