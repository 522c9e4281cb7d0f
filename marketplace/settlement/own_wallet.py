"""Consumers with a wallet of their own: bring tokens by one signature, send them back at any time (ADR 0018).

The consumer signs an EIP-2612 permit for exactly the amount, in their own wallet. The platform carries it to the chain and pays
the gas; the tokens then stand at the consumer's address here, from which jobs are paid. Nothing more can ever be taken.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from collectives.terms.description import tokens
from collectives.terms.sentences import Sentence
from marketplace.settlement import addresses, assets, orders, outbox, permits, selectors
from marketplace.settlement.chain import chain, encode_call
from marketplace.settlement.errors import SettlementError, before_money_moves
from marketplace.settlement.models import ChainTransaction, ConsumerWallet, Escrow, FundsMovement
from marketplace.settlement.wallets import consumer_wallet

SECONDS = 1_800
"""How long a permit for bringing tokens is good."""
GAS = {"permit": 110_000, "bring": 100_000, "send": 90_000}
JOB_GAS = sum(orders.GAS[name] for name in ("approve", "buy", "approve", "order", "open"))
Kind, Status = FundsMovement.Kind, FundsMovement.Status


def ask(*, account: Any, owner: str, amount: int) -> permits.Question:
    """What `owner` signs to bring `amount` base units.

    Raises:
        SettlementError: the address or amount cannot be, the owner holds less, the token knows no permits, the chain is away.
    """
    owner, wallet = addresses.checked(owner), consumer_wallet(account)
    _possible(owner, wallet, amount)
    return _question(owner, wallet, amount, int(time.time()) + SECONDS)


def bring(
    *, account: Any, owner: str, amount: int, nonce: int, deadline: int, signature: bytes
) -> FundsMovement:
    """Carry a signed permit and take exactly its amount. The same permit again is the same movement.

    Raises:
        SettlementError: `expired_permit`, `used_permit`, `not_signed_by_owner`, `insufficient_funds`; each with its numbers.
    """
    owner, wallet = addresses.checked(owner), consumer_wallet(account)
    known = FundsMovement.objects.filter(kind=Kind.BRING, address=owner, nonce=nonce)
    found = known.exclude(status=Status.FAILED).first()
    if found is not None and (found.wallet_id, int(found.amount)) == (wallet.pk, amount):
        return found
    _in_time(deadline)
    asked = _question(owner, wallet, amount, deadline)
    if found is not None or asked.nonce != nonce:
        raise SettlementError(
            "used_permit",
            "This permit has number %(nonce)s and %(owner)s… is at number %(next)s: it was used "
            "already. Sign again. Nothing was moved.",
            nonce=str(nonce),
            owner=owner[:8],
            next=str(asked.nonce),
        )
    _signed(asked, signature)
    _possible(owner, wallet, amount)
    try:
        with transaction.atomic():
            made = FundsMovement.objects.create(
                kind=Kind.BRING, wallet=wallet, address=owner, amount=amount, nonce=nonce
            )
            _carry(made, asked, signature)
    except IntegrityError:  # the same request came twice at once
        return FundsMovement.objects.exclude(status=Status.FAILED).get(
            kind=Kind.BRING, address=owner, nonce=nonce
        )
    assets.wake()
    return made


def send(*, account: Any, to: str, amount: int) -> FundsMovement:
    """Send tokens from the balance here to an address of the consumer's own.

    Raises:
        SettlementError: `insufficient_funds` with both figures, `busy` while something else is on its way, an address that is none.
    """
    to, wallet = addresses.checked(to), consumer_wallet(account)
    if to in (wallet.address, assets.ZERO):
        raise SettlementError(
            "bad_address",
            "%(to)s… is not a wallet of your own; use its address. Nothing was moved.",
            status=400,
            to=to[:8],
        )
    free = _balance(wallet.address)
    if not 0 < amount <= free:
        raise SettlementError(
            "insufficient_funds",
            "You hold %(free)s %(token)s here and asked for %(amount)s. Nothing was moved.",
            free=tokens(free),
            token=settings.TOKEN_SYMBOL,
            amount=tokens(amount),
        )
    with transaction.atomic():
        waiting = Escrow.objects.filter(consumer=wallet, status=Escrow.Status.OPENING).count()
        if not orders.claim(wallet) or waiting:
            raise SettlementError(
                "busy",
                "Transactions of yours are on their way (%(waiting)s jobs are being funded). Try again when "
                "they are confirmed.",
                waiting=waiting,
            )
        made = FundsMovement.objects.create(kind=Kind.SEND, wallet=wallet, address=to, amount=amount)
        _call(made, "send", "transfer", [to, amount], _fuel(wallet, GAS["send"]))
    assets.wake()
    return made


def _question(owner: str, wallet: ConsumerWallet, amount: int, deadline: int) -> permits.Question:
    with before_money_moves():
        asked = permits.question(owner, wallet.address, amount, deadline)
    if asked is None:
        raise SettlementError(
            "no_permits",
            "%(token)s on chain %(chain)s knows no permits. Send tokens to %(address)s instead.",
            token=settings.TOKEN_SYMBOL,
            chain=str(settings.CHAIN_ID),
            address=wallet.address,
        )
    return asked


def _possible(owner: str, wallet: ConsumerWallet, amount: int) -> None:
    if owner == wallet.address:
        raise SettlementError(
            "bad_address", "This is your address here, not a wallet of your own.", status=400
        )
    if amount <= 0:
        raise SettlementError(
            "bad_amount", "%(amount)s is nothing to bring.", status=400, amount=tokens(amount)
        )
    held = _balance(owner)
    if held < amount:
        raise SettlementError(
            "insufficient_funds",
            "%(owner)s holds %(held)s %(token)s and you asked for %(amount)s: %(missing)s are "
            "missing. Nothing was moved.",
            owner=f"{owner[:8]}…{owner[-4:]}",
            held=tokens(held),
            token=settings.TOKEN_SYMBOL,
            amount=tokens(amount),
            missing=tokens(amount - held),
        )


def _in_time(deadline: int) -> None:
    late = int(time.time()) - deadline
    if late >= 0:
        ended = datetime.fromtimestamp(deadline, tz=UTC)
        raise SettlementError(
            "expired_permit",
            "This permit was good until %(ended)s UTC, %(late)s seconds ago. Sign again. Nothing was moved.",
            ended=f"{ended:%d %B %Y %H:%M:%S}",
            late=late,
        )


def _signed(asked: permits.Question, signature: bytes) -> None:
    found = asked.signed_by(signature)
    if found != asked.owner:
        raise SettlementError(
            "not_signed_by_owner",
            "This signature is %(by)s, not by %(owner)s… for %(amount)s %(token)s on chain "
            "%(chain)s with permit number %(nonce)s. Nothing was moved.",
            status=400,
            by=Sentence("by %(signer)s…", signer=found[:8]) if found else Sentence("none"),
            owner=asked.owner[:8],
            amount=tokens(asked.value),
            token=settings.TOKEN_SYMBOL,
            chain=str(asked.chain_id),
            nonce=str(asked.nonce),
        )


def _carry(made: FundsMovement, asked: permits.Question, signature: bytes) -> None:
    """The permit, then the transfer. An allowance that stands already (somebody else carried the permit) is as good."""
    row = _fuel(made.wallet, GAS["permit"] + GAS["bring"] + JOB_GAS)
    token, owner, spender = selectors.address("DevToken"), asked.owner, asked.spender
    if int(chain().read("DevToken", token, "allowance", owner, spender)) < asked.value:
        arguments = [owner, spender, asked.value, asked.deadline, *permits.parts(signature)]
        row = _call(made, "permit", "permit", arguments, row)
    _call(made, "bring", "transferFrom", [owner, spender, asked.value], row)


def _call(
    made: FundsMovement, kind: str, call: str, arguments: list[Any], after: ChainTransaction | None
) -> ChainTransaction:
    return outbox.enqueue(
        key=f"{kind}:{made.pk}",
        purpose=f"consumer:{made.wallet_id}",
        to=selectors.address("DevToken"),
        data=encode_call("DevToken", call, arguments),
        gas=GAS[kind],
        depends_on=after,
    )


def _fuel(wallet: ConsumerWallet, gas: int) -> ChainTransaction | None:
    """Native coin for what follows, from the platform, where the address here has too little of it."""
    need = 2 * gas * chain().fees()[0]
    if chain().native_balance(wallet.address) >= need:
        return None
    count = ChainTransaction.objects.filter(key__startswith=f"gas:{wallet.pk}:").count()
    return outbox.enqueue(
        key=f"gas:{wallet.pk}:{count}",
        purpose="faucet" if settings.DEVELOPMENT else "lister",
        to=wallet.address,
        data=b"",
        gas=21_000,
        value=2 * need,
    )


def _balance(holder: str) -> int:
    with before_money_moves():
        return selectors.balance(holder)
