"""What a wallet signs towards the market, written from docs/protocol/interfaces.md alone."""

from __future__ import annotations

import os
import time
from typing import Any

from django.test import Client

from aggregation.wire import signing


class Wallet:
    """A mailbox key and the two things it says to the market."""

    def __init__(self) -> None:
        self.private = signing.generate(os.urandom)
        self.key = signing.public_key(self.private).hex()

    def pairing(self, code: str, **changes: Any) -> dict[str, Any]:
        body = {"code": code, "mailbox": bytes.fromhex(self.key), "created": int(time.time())} | changes
        signature = signing.sign(self.private, b"cssi/v1/pair", body).hex()
        return {
            "code": body["code"],
            "mailbox_key": self.key,
            "created": body["created"],
            "signature": signature,
        }

    def pair(self, code: str) -> Any:
        return post("pair", self.pairing(code))

    def move(self, to: Wallet, **changes: Any) -> dict[str, Any]:
        created = int(time.time())
        body = {"mailbox": bytes.fromhex(self.key), "new_mailbox": bytes.fromhex(to.key), "created": created}
        sent = {
            "mailbox_key": self.key,
            "new_mailbox_key": to.key,
            "created": created,
            "signature": signing.sign(self.private, b"cssi/v1/move", body).hex(),
            "new_signature": signing.sign(to.private, b"cssi/v1/move", body).hex(),
        }
        return sent | changes

    def moves(self, to: Wallet, **changes: Any) -> Any:
        return post("move", self.move(to, **changes))

    def link(
        self, offer_ref: str, collective_id: Any, state: str, subscription_key: str = ""
    ) -> dict[str, Any]:
        body = {
            "offer_ref": offer_ref,
            "mailbox_key": self.key,
            "collective_id": str(collective_id),
            "subscription_key": subscription_key,
            "state": state,
            "created": int(time.time()),
        }
        return body | {"signature": signing.sign(self.private, b"cssi/v1/link", body).hex()}

    def says(self, offer_ref: str, collective_id: Any, state: str, subscription_key: str = "") -> Any:
        return post("links", self.link(offer_ref, collective_id, state, subscription_key))


def post(what: str, body: dict[str, Any]) -> Any:
    return Client().post(f"/api/v1/wallets/{what}", body, content_type="application/json")
