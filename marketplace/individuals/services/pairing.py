"""Pair a wallet with an account by a one-time code, rename it, remove it."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from marketplace.individuals import clients
from marketplace.individuals.errors import IndividualError
from marketplace.individuals.models import PairingCode, WalletLink
from marketplace.individuals.services import deliveries
from marketplace.individuals.services.checks import check_clock, check_signature, key_bytes, mine

CODE_SECONDS = 10 * 60
ALPHABET = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
"""No letters or digits that are mistaken for each other when read aloud or typed."""
CODE_LENGTH = 12


@transaction.atomic
def start_pairing(*, account: Any) -> PairingCode:
    """A fresh one-time code; an older waiting one stops working."""
    PairingCode.objects.filter(account=account, status=PairingCode.Status.WAITING).update(
        status=PairingCode.Status.REPLACED
    )
    now = timezone.now()
    row = PairingCode(account=account, created_at=now, expires_at=now + timedelta(seconds=CODE_SECONDS))
    row.code_hash = _code_hash(code_of(row))
    row.save(force_insert=True)
    return row


def code_of(row: PairingCode) -> str:
    """The code to show, in groups of four. 12 letters of 30 are 58 bits; it lives ten minutes and is throttled."""
    number = int.from_bytes(
        salted_hmac("marketplace.pairing", str(row.id), algorithm="sha256").digest(), "big"
    )
    letters = ""
    for _position in range(CODE_LENGTH):
        number, index = divmod(number, len(ALPHABET))
        letters += ALPHABET[index]
    return "-".join(letters[i : i + 4] for i in range(0, CODE_LENGTH, 4))


def _code_hash(code: str) -> str:
    plain = "".join(letter for letter in code.upper() if letter.isalnum())
    return hashlib.sha256(f"pairing:{plain}".encode()).hexdigest()


def complete_pairing(*, code: str, mailbox_key: str, created: int, signature: str) -> WalletLink:
    """The wallet shows the code and proves its mailbox key. The same wallet with the same code again gets the same answer.

    Raises:
        IndividualError: bad signature, unknown, used or expired code, clock.
        DistributorDown: the mailbox could not be made; the code stays good.
    """
    check_signature(
        mailbox_key,
        b"cssi/v1/pair",
        {"code": code, "mailbox": key_bytes(mailbox_key), "created": created},
        signature,
    )
    check_clock(created)
    row = PairingCode.objects.select_related("wallet", "account").filter(code_hash=_code_hash(code)).first()
    if row is None or row.status == PairingCode.Status.REPLACED:
        raise IndividualError(
            "unknown_code", _("There is no such code. Get a new one from “Pair a wallet”."), status=404
        )
    if row.status == PairingCode.Status.USED:
        if row.wallet is not None and row.wallet.mailbox_key == mailbox_key and row.wallet.status == "active":
            return row.wallet
        raise IndividualError(
            "used_code", _("This code was used. Get a new one from “Pair a wallet”."), status=409
        )
    if row.expires_at <= timezone.now():
        raise IndividualError(
            "expired_code", _("This code has expired. Get a new one from “Pair a wallet”."), status=410
        )
    other = WalletLink.objects.filter(mailbox_key=mailbox_key).exclude(account=row.account).first()
    if other is not None:
        raise IndividualError(
            "paired_elsewhere", _("This wallet is paired with another account."), status=409
        )
    clients.put_mailbox(mailbox_key)
    return _use_code(row, mailbox_key)


@transaction.atomic
def _use_code(row: PairingCode, mailbox_key: str) -> WalletLink:
    taken = PairingCode.objects.filter(pk=row.pk, status=PairingCode.Status.WAITING).update(
        status=PairingCode.Status.USED
    )
    if not taken:
        raise IndividualError(
            "used_code", _("This code was used. Get a new one from “Pair a wallet”."), status=409
        )
    wallet, _made = WalletLink.objects.update_or_create(
        mailbox_key=mailbox_key,
        defaults={"account": row.account, "status": WalletLink.Status.ACTIVE, "paired_at": timezone.now()},
    )
    PairingCode.objects.filter(pk=row.pk).update(wallet=wallet)
    return wallet


def rename_wallet(*, account: Any, wallet: WalletLink, label: str) -> None:
    mine(account, wallet)
    wallet.label = label.strip()[:60]
    wallet.save(update_fields=["label"])


def remove_wallet(*, account: Any, wallet: WalletLink) -> WalletLink:
    """Forget how to reach this wallet. Its permits stay in it: subscriptions are ended by revoking them."""
    mine(account, wallet)
    WalletLink.objects.filter(pk=wallet.pk, status=WalletLink.Status.ACTIVE).update(
        status=WalletLink.Status.REMOVING
    )
    wallet.refresh_from_db()
    deliveries.quietly(lambda: deliveries.deliver_removal(wallet))
    return wallet
