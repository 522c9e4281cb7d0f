"""The outbox: each chain transaction exactly once, whatever dies in between.

NEW → SIGNED: the nonce is handed out under the signer row's lock and committed together with the signed bytes.
SIGNED → SENT: the stored bytes are broadcast; "already known" and "nonce too low" mean that an earlier try arrived.
SENT → MINED: a receipt is there (looked up, never waited for). No receipt and the chain still expects this nonce: back to SIGNED.
MINED → CONFIRMED: deep enough, and the block is still the same one; a block that was replaced sends it back to SIGNED.
Never a new nonce for the same key; a fee bump signs the same nonce again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from marketplace import telemetry
from marketplace.settlement import conf, effects
from marketplace.settlement.chain import MOST_GAS, Chain, chain, second_opinion
from marketplace.settlement.errors import ChainRefused, ChainUnavailable, FeesTooHigh
from marketplace.settlement.keys import Signer as KeySigner
from marketplace.settlement.keys import open_sealed_key, signer
from marketplace.settlement.models import ChainTransaction, ConsumerWallet, Signer

T = ChainTransaction
BUMP_AFTER = timedelta(minutes=3)
BATCH = 100
REPEATABLE = ("settle", "fund", "push", "publish", "close", "register", "revoke")
"""Kinds whose contract refuses a second success or does the same again, so that a refused one may be tried again."""


def enqueue(
    *,
    key: str,
    purpose: str,
    to: str,
    data: bytes,
    gas: int,
    value: int = 0,
    depends_on: ChainTransaction | None = None,
) -> ChainTransaction:
    """The row for a transaction; the same key again is the same row. Call inside the transaction that makes it necessary."""
    row, _ = T.objects.get_or_create(
        key=key,
        defaults={
            "purpose": purpose,
            "to": to,
            "data": data,
            "gas": gas,
            "value": value,
            "depends_on": depends_on,
        },
    )
    return row


def unfinished() -> bool:
    """Whether any transaction is on its way."""
    return T.objects.filter(state__in=T.ON_ITS_WAY).exists()


def sweep() -> int:
    """One pass over everything unfinished; returns how many rows moved. Safe beside another sweep."""
    link, moved = chain(), 0
    try:
        # What waits for another row is left out by the query: a long chain of pushes must not keep a new job from being opened.
        decided = Q(depends_on=None) | Q(depends_on__state__in=(T.State.CONFIRMED, T.State.FAILED))
        for row in T.objects.filter(decided, state=T.State.NEW).select_related("depends_on")[:BATCH]:
            if row.depends_on is not None and row.depends_on.state == T.State.FAILED:
                moved += _fail(row, "what it depends on failed")
                continue
            try:
                with _traced("sign", row):
                    moved += _sign(row, link)
            except FeesTooHigh as error:
                # What is signed already goes on below; the administrator reads why this one waits.
                T.objects.filter(pk=row.pk, state=T.State.NEW).update(error=str(error)[:300])
                break
        for row in T.objects.filter(state=T.State.SIGNED).order_by("signer", "nonce")[:BATCH]:
            with _traced("send", row):
                moved += _send(row, link)
        for row in T.objects.filter(state=T.State.SENT)[:BATCH]:
            with _traced("look", row):
                moved += _look(row, link)
        mined = list(T.objects.filter(state=T.State.MINED)[:BATCH])
        head = link.head() if mined else 0
        for row in mined:
            with _traced("confirm", row):
                moved += _confirm(row, link, head)
    except ChainUnavailable:
        return moved
    return moved


def _traced(step: str, row: ChainTransaction) -> AbstractContextManager[Any]:
    """A span that says which step of which kind of transaction; its key names a job or an address."""
    return telemetry.span(f"settlement.{step}", kind=row.key.split(":", 1)[0])


def key_for(purpose: str) -> KeySigner:
    """The signer of a row's purpose."""
    if purpose.startswith("consumer:"):
        wallet = ConsumerWallet.objects.get(pk=int(purpose.removeprefix("consumer:")))
        return open_sealed_key(bytes(wallet.sealed_key), str(wallet.account_id))
    return signer(purpose)


def _sign(row: ChainTransaction, link: Chain) -> int:
    key = key_for(row.purpose)
    fee, tip = link.fees()
    known = link.nonce(key.address())
    if known != link.nonce(key.address()):
        raise ChainUnavailable("the endpoint does not agree with itself about a nonce")
    with transaction.atomic():
        counter, _ = Signer.objects.select_for_update().get_or_create(
            chain_id=settings.CHAIN_ID, address=key.address(), defaults={"next_nonce": known}
        )
        if not T.objects.select_for_update().filter(pk=row.pk, state=T.State.NEW).exists():
            return 0
        _store_signed(row, key, counter.next_nonce, fee, tip)
        row.signer = counter
        row.state, row.error = T.State.SIGNED, ""
        row.save(update_fields=["signer", "state", "nonce", "raw", "hash", "error"])
        counter.next_nonce += 1
        counter.save(update_fields=["next_nonce"])
    return 1


def _store_signed(row: ChainTransaction, key: KeySigner, nonce: int, fee: int, tip: int) -> None:
    """Sign the row for a nonce and put the bytes and their hash on it (not saved)."""
    fields: dict[str, Any] = {
        "type": 2,
        "chainId": settings.CHAIN_ID,
        "nonce": nonce,
        "gas": row.gas,
        "maxFeePerGas": fee,
        "maxPriorityFeePerGas": tip,
        "value": int(row.value),
        "data": bytes(row.data),
    }
    if row.to:
        fields["to"] = row.to
    row.raw = key.sign_transaction(fields)
    row.hash = effects.transaction_hash(row.raw)
    row.nonce = nonce


def _send(row: ChainTransaction, link: Chain) -> int:
    try:
        link.send(bytes(row.raw))
    except ChainRefused as error:
        if not error.known:
            # Nothing with this nonce was mined: say why and try again at the next sweep; the nonce stays ours.
            T.objects.filter(pk=row.pk).update(error=str(error)[:300])
            return 0
    return _step(row, T.State.SIGNED, T.State.SENT, sent_at=timezone.now(), error="")


def _look(row: ChainTransaction, link: Chain) -> int:
    for digest in (row.hash, *row.earlier_hashes):
        found = link.receipt(digest)
        if found is not None:
            changed = {
                "block_number": found.block_number,
                "block_hash": found.block_hash,
                "gas_used": found.gas_used,
            }
            # Every hash of this nonce stays known: after a reorganisation another of them may be the one that is mined.
            others = sorted({row.hash, *row.earlier_hashes} - {digest})
            return _step(row, T.State.SENT, T.State.MINED, hash=digest, earlier_hashes=others, **changed)
    assert row.signer is not None
    if row.nonce is not None and link.nonce(row.signer.address) <= row.nonce:
        if row.sent_at and timezone.now() - row.sent_at > BUMP_AFTER:
            return _bump(row, link)
        return _step(row, T.State.SENT, T.State.SIGNED)
    return 0


def _bump(row: ChainTransaction, link: Chain) -> int:
    """The same nonce with higher fees; the earlier hash stays known, either may be mined.

    Where that would cost more than this site pays, the same bytes are sent again instead.
    """
    seen, earlier = row.hash, [*row.earlier_hashes, row.hash]
    factor = 10 + 2 * len(earlier)
    ceiling = conf.get("CHAIN_MAX_FEE")
    try:
        fee, tip = link.fees()
    except FeesTooHigh:
        return _step(row, T.State.SENT, T.State.SIGNED)
    if ceiling and fee * factor // 10 > ceiling:
        return _step(row, T.State.SENT, T.State.SIGNED)
    assert row.nonce is not None
    _store_signed(row, key_for(row.purpose), row.nonce, fee * factor // 10, tip * factor // 10)
    changed = {"raw": row.raw, "hash": row.hash, "earlier_hashes": earlier}
    row.hash = seen
    return _step(row, T.State.SENT, T.State.SIGNED, **changed)


def _confirm(row: ChainTransaction, link: Chain, head: int) -> int:
    assert row.block_number is not None
    if head < row.block_number + settings.CHAIN_CONFIRMATIONS - 1:
        return 0
    found = link.receipt(row.hash)
    if found is None or found.block_hash != row.block_hash:
        return _step(row, T.State.MINED, T.State.SIGNED, block_number=None, block_hash="")
    other = second_opinion()
    if other is not None:
        theirs = other.receipt(row.hash)
        if theirs is None or theirs.block_hash != found.block_hash or theirs.ok != found.ok:
            # One of the two is behind, forked or lying; which one is not for us to guess.
            T.objects.filter(pk=row.pk, state=T.State.MINED).update(
                error="the second endpoint does not confirm it yet"
            )
            return 0
    if not found.ok:
        return _fail(row, _reason(row, link))
    with transaction.atomic():
        if not _step(row, T.State.MINED, T.State.CONFIRMED, error=""):
            return 0
        effects.confirmed(row, found)
    return 1


def again(row: ChainTransaction) -> bool:
    """Try a failed transaction again, once its cause is gone; whether it is on its way.

    Its nonce went with the block that refused it, so it gets another one: the only case, and only for the kinds that their contracts
    take once. What waited for it in vain is tried again with it. A quarter more gas is offered, should that have been the cause.
    """
    if row.key.partition(":")[0] not in REPEATABLE:
        return False
    told = f"tried before: {row.hash} {row.error}"[:300] if row.hash else ""
    with transaction.atomic():
        moved = T.objects.filter(pk=row.pk, state=T.State.FAILED, hash=row.hash).update(
            state=T.State.NEW,
            signer=None,
            nonce=None,
            raw=b"",
            hash="",
            earlier_hashes=[],
            sent_at=None,
            block_number=None,
            block_hash="",
            gas_used=None,
            gas=min(MOST_GAS, row.gas * 5 // 4) if row.hash else row.gas,
            error=told,
        )
        if not moved:
            return False
        for follower in row.followers.filter(state=T.State.FAILED, hash=""):
            again(follower)
    return True


def _reason(row: ChainTransaction, link: Chain) -> str:
    assert row.signer is not None
    assert row.block_number is not None
    known = (
        link.why(row.signer.address, row.to, bytes(row.data), int(row.value), row.block_number)
        if row.to
        else ""
    )
    return f"the chain reverted it: {known}"[:300] if known else "the chain reverted it"


def _fail(row: ChainTransaction, reason: str) -> int:
    with transaction.atomic():
        moved = T.objects.filter(pk=row.pk, state=row.state).update(state=T.State.FAILED, error=reason)
        row.error = reason
        if moved:
            effects.failed(row)
    return moved


def _step(row: ChainTransaction, before: str, after: str, **changed: Any) -> int:
    """Move a row only if it still is where we saw it; 1 when it moved.

    The hash is compared too: another worker may have bumped the fee and sent it again, and its hash must not be forgotten.
    """
    return T.objects.filter(pk=row.pk, state=before, hash=row.hash).update(state=after, **changed)
