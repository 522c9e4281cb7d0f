"""What a wallet signs towards a collective, written from docs/protocol/interfaces.md alone."""

from __future__ import annotations

import os
import time
import uuid
from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct

from aggregation.wire import signing
from collectives.models import Collective, Subscription
from collectives.services import subscriptions
from collectives.terms import agreement
from collectives.terms.envelope import SignedDocument


class Wallet:
    """Fresh keys for one subscription."""

    def __init__(self, private: Any = None) -> None:
        self.private = private or signing.generate(os.urandom)
        self.key = signing.public_key(self.private).hex()
        self.agreement_key = Account.create()

    def subscription(
        self, terms: dict[str, Any], *, agreed: dict[str, Any] | None = None, **changes: Any
    ) -> dict[str, Any]:
        """A signed subscription to these terms; `agreed` changes the agreement before it is signed, `changes` the rest."""
        now = int(time.time())
        message = agreement.build(
            collective_id=terms["collective_id"],
            terms_hash=SignedDocument(kind="terms", document=terms, key="", signature="").hash,
            requirement_hash=terms["requirement_hash"],
            rate=int(terms["rate"]),
            payout_hash=agreement.payout_hash(os.urandom(20), os.urandom(32)),
            valid_from=now,
            valid_until=now + terms["valid_seconds"],
            nonce=int.from_bytes(os.urandom(8), "big"),
        ) | (agreed or {})
        place = terms["agreement"]
        digest = agreement.signing_digest(message, chain_id=place["chain_id"], registry=place["registry"])
        cross = self.agreement_key.sign_message(encode_defunct(bytes.fromhex(self.key)))
        document = {
            "version": 1,
            "collective_id": terms["collective_id"],
            "terms_hash": message["termsHash"],
            "requirement_hash": terms["requirement_hash"],
            "subscription_key": self.key,
            "agreement": message,
            "agreement_signer": self.agreement_key.address,
            "agreement_signature": self.agreement_key.unsafe_sign_hash(digest).signature.hex(),
            "cross_signature": cross.signature.hex(),
            "presence": {"level": "declared", "commitment": "ab" * 32, "record_count": 1},
            "created": now,
        } | changes
        return SignedDocument.sign("subscription", document, self.private).to_json()

    def subscribe(self, collective: Collective) -> dict[str, Any]:
        terms = collective.terms.first().document
        return subscriptions.subscribe(collective_id=collective.pk, envelope=self.subscription(terms))

    def revocation(self, collective_id: uuid.UUID, **changes: Any) -> dict[str, Any]:
        found = Subscription.objects.get(subscription_key=self.key)
        document = {
            "version": 1,
            "collective_id": str(collective_id),
            "subscription_key": self.key,
            "agreement_hash": found.agreement_hash,
            "created": int(time.time()),
        } | changes
        return SignedDocument.sign("revocation", document, self.private).to_json()

    def answer(
        self, collective_id: uuid.UUID, notice_ref: uuid.UUID, choice: str, **changes: Any
    ) -> dict[str, Any]:
        document = {
            "version": 1,
            "collective_id": str(collective_id),
            "notice_ref": str(notice_ref),
            "subscription_key": self.key,
            "choice": choice,
            "created": int(time.time()),
        } | changes
        return SignedDocument.sign("notice-answer", document, self.private).to_json()
