"""Open a desk, attest values, hand the credential over once, revoke. All writes name the desk or carry a one-time code.

Handing over: the wallet shows the code and signs with the key the credential will be bound to. The same key may ask again until it
says that it has the credential, because an answer can be lost; then the values are erased here.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from aggregation.wire import signing
from aggregation.wire.errors import BadKey, BadSignature
from aggregation.wire.secret import Secret
from attestation.desk import sealing, unlinkable
from attestation.desk.errors import DeskError
from attestation.desk.models import Credential, Issuer
from attestation.formats import credential as sd_jwt
from attestation.formats import facts, status
from attestation.formats.did_key import did_of
from collectives.terms.errors import TermsError
from collectives.terms.requirements import check_profile, validate
from collectives.terms.sentences import joined

OFFER_DAYS = 7
MAX_DAYS = 5 * 365
CLOCK_SKEW = 600
STATUS_LIFETIME = 900
"""Seconds a status list may be relied on: the longest a revocation stays unseen."""
LABEL_COLLECT, LABEL_RECEIVED = b"cssi/v1/credential", b"cssi/v1/credential-received"


def open_desk(*, account: str, name: str) -> Issuer:
    """A desk with a fresh key."""
    private, ident = signing.generate(secrets.token_bytes), uuid.uuid4()
    return Issuer.objects.create(
        id=ident,
        account=account,
        name=name,
        did=did_of(signing.public_key(private)),
        sealed_key=sealing.seal(private.reveal(), ident.bytes),
    )


def attest(
    *, issuer: Issuer, label: str, requirement: Mapping[str, Any], values: Mapping[str, Any], days: int
) -> Credential:
    """Keep values, sealed, for one wallet to collect. Each must meet the rule its field has in the requirement.

    Raises:
        DeskError: `bad_requirement`, `bad_values` (lists what is wrong, repeats no value), `bad_period`.
    """
    if not 1 <= days <= MAX_DAYS:
        raise DeskError("bad_period", "A credential is valid for 1 to %(most)s days.", most=MAX_DAYS)
    _check_values(requirement, values)
    now, ident = timezone.now(), uuid.uuid4()
    rules = {name: facts.rule_id(name, requirement["properties"][name]) for name in values}
    offer = json.dumps({"record": dict(values), "facts": rules}).encode()
    return Credential.objects.create(
        id=ident,
        issuer=issuer,
        label=label,
        fields=sorted(values),
        status_index=_free_place(issuer),
        sealed_offer=sealing.seal(offer, ident.bytes),
        code_hash=_hash(sealing.code_for(ident.bytes)),
        offer_ends=now + timedelta(days=OFFER_DAYS),
        expires_at=now + timedelta(days=days),
    )


def collect(*, code: str, holder_key: str, created: int, signature: str) -> dict[str, Any]:
    """`credential`, bound to the key that signed; and `unlinkable`, offers for proofs that link nothing, where the desk has keys.

    Raises:
        DeskError: `unknown_code`, `offer_over`, `bad_signature`, `clock`, `taken`.
    """
    found, offer = claim(code=code, holder_key=holder_key, created=created, signature=signature)
    text = sd_jwt.issue(
        private=_private(found.issuer),
        holder_key=bytes.fromhex(holder_key),
        record=offer["record"],
        facts=offer["facts"],
        now=int(time.time()),
        expires=int(found.expires_at.timestamp()),
        status_uri=status_uri(found.issuer),
        status_index=found.status_index,
    )
    return {"credential": text} | unlinkable.offers(found.issuer)


def claim(*, code: str, holder_key: str, created: int, signature: str) -> tuple[Credential, dict[str, Any]]:
    """The offer of a code for the wallet that signs, from now on for no other: (row, `{record, facts}`). Raises as `collect`."""
    _signer(LABEL_COLLECT, code, holder_key, created, signature)
    with transaction.atomic(using="issuer"):
        found = _offered(code)
        if found.holder_hash not in ("", _hash(holder_key)):
            raise DeskError(
                "taken", "Another wallet has collected this credential. Ask the issuer.", status=409
            )
        found.holder_hash, found.status = _hash(holder_key), Credential.Status.ISSUED
        found.save(update_fields=["holder_hash", "status"])
    assert found.sealed_offer is not None
    return found, json.loads(sealing.unseal(bytes(found.sealed_offer), found.id.bytes))


def received(*, code: str, holder_key: str, created: int, signature: str) -> None:
    """The wallet has it: forget the values, the code and the key. Repeating it changes nothing."""
    _signer(LABEL_RECEIVED, code, holder_key, created, signature)
    found = Credential.objects.filter(code_hash=_hash(code)).first()
    if found is not None and found.holder_hash == _hash(holder_key):
        _forget(found)


def revoke(*, credential: Credential, reason: str) -> None:
    """From now on the status list says so; wallets and collectives see it when they look next. Repeating it changes nothing."""
    if credential.status == Credential.Status.REVOKED:
        return
    credential.status, credential.revoked_at, credential.reason = (
        Credential.Status.REVOKED,
        timezone.now(),
        reason[:300],
    )
    credential.save(update_fields=["status", "revoked_at", "reason"])
    _forget(credential)


def status_list(issuer: Issuer) -> str:
    """The signed status list of a desk, for anybody."""
    gone = issuer.credentials.filter(status=Credential.Status.REVOKED).values_list("status_index", flat=True)
    return status.issue(
        private=_private(issuer),
        uri=status_uri(issuer),
        revoked=list(gone),
        now=int(time.time()),
        lifetime=STATUS_LIFETIME,
    )


def status_uri(issuer: Issuer) -> str:
    return f"{settings.ISSUER_URL}/{issuer.pk}/status"


def sweep() -> int:
    """Erase the values of offers that nobody collected, or whose wallet never confirmed, in time; how many."""
    over = Credential.objects.filter(sealed_offer__isnull=False, offer_ends__lte=timezone.now())
    for credential in over:
        if credential.status == Credential.Status.OFFERED:
            credential.status = Credential.Status.LAPSED
            credential.save(update_fields=["status"])
        _forget(credential)
    return len(over)


def _forget(credential: Credential) -> None:
    credential.sealed_offer = credential.code_hash = None
    credential.holder_hash = ""
    credential.save(update_fields=["sealed_offer", "code_hash", "holder_hash"])


def _check_values(requirement: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    try:
        check_profile(requirement)
    except TermsError as error:
        raise DeskError("bad_requirement", error.sentence) from error
    if not isinstance(values, Mapping) or not values:
        raise DeskError("bad_values", 'Give the values as one object, for example {"peer_review": 7}.')
    known = requirement["properties"]
    unknown = [str(name) for name in values if name not in known]
    if unknown:
        raise DeskError(
            "bad_values", "The requirement does not ask for %(names)s.", names=", ".join(unknown[:8])
        )
    part = {
        "type": "object",
        "additionalProperties": False,
        "required": list(values),
        "properties": {name: known[name] for name in values},
    }
    problems = validate(part, dict(values))
    if problems:
        raise DeskError("bad_values", joined("; ", [problem.said for problem in problems[:8]]))


def _offered(code: str) -> Credential:
    found = (
        Credential.objects.select_for_update().select_related("issuer").filter(code_hash=_hash(code)).first()
    )
    if found is None or found.sealed_offer is None:
        raise DeskError(
            "unknown_code", "This code is not known or was used. Ask the issuer for another.", status=404
        )
    if found.offer_ends <= timezone.now():
        raise DeskError("offer_over", "This offer has ended. Ask the issuer for another.", status=410)
    return found


def _signer(label: bytes, code: str, holder_key: str, created: int, signature: str) -> bytes:
    if abs(created - time.time()) > CLOCK_SKEW:
        raise DeskError(
            "clock", "The wallet's clock and ours differ by more than ten minutes. Set the clock."
        )
    try:
        key = bytes.fromhex(holder_key)
        signing.verify(key, label, {"code": code, "key": key, "created": created}, bytes.fromhex(signature))
    except (ValueError, BadKey, BadSignature):
        raise DeskError(
            "bad_signature", "The request is not signed by the key it names.", status=403
        ) from None
    return key


def _private(issuer: Issuer) -> Secret:
    return Secret(sealing.unseal(bytes(issuer.sealed_key), issuer.pk.bytes))


def _free_place(issuer: Issuer) -> int:
    """A random free place, so that a place says nothing about order or number."""
    for _ in range(1000):
        place = secrets.randbelow(status.SIZE)
        if not issuer.credentials.filter(status_index=place).exists():
            return place
    raise DeskError("list_full", "This desk's status list is full. Open another desk.")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
