"""Checks that several verbs share: whose row, whose signature, whose clock."""

from __future__ import annotations

import time
from typing import Any

from django.utils.translation import gettext as _

from aggregation.wire import signing
from aggregation.wire.errors import WireError
from marketplace.individuals.errors import IndividualError
from marketplace.individuals.models import SubscriptionLink, WalletLink

CLOCK_SKEW = 600


def mine(account: Any, row: WalletLink | SubscriptionLink) -> None:
    if row.account_id != account.pk:
        raise IndividualError("not_yours", _("This belongs to another account."), status=403)


def key_bytes(key: str) -> bytes:
    try:
        value = bytes.fromhex(key)
    except ValueError:
        value = b""
    if len(value) != 32:
        raise IndividualError("malformed", _("A mailbox key is 32 bytes in hex."))
    return value


def check_signature(key: str, label: bytes, body: dict[str, Any], signature: str) -> None:
    try:
        public = key_bytes(key)
        signing.check_public_key(public)
        signing.verify(public, label, body, bytes.fromhex(signature))
    except (WireError, ValueError) as error:
        raise IndividualError(
            "bad_signature", _("The wallet's signature does not fit."), status=403
        ) from error


def check_clock(created: int) -> None:
    if abs(created - int(time.time())) > CLOCK_SKEW:
        raise IndividualError(
            "clock", _("The wallet's clock and ours differ by more than ten minutes. Set the clock.")
        )
