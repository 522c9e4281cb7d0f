"""The verbs of money: open an escrow, settle an epoch, refund, register agreements. Each is idempotent by its business key."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from eth_hash.auto import keccak

from aggregation.epochs import receipts_root
from collectives import wakeups
from collectives.selectors import subscriptions as agreements
from collectives.terms.description import tokens
from collectives.terms.sentences import Sentence
from marketplace import telemetry
from marketplace.settlement import assets, clients, effects, orders, outbox, preview, sales, selectors
from marketplace.settlement.chain import MOST_RECIPIENTS, encode_call, job_bytes
from marketplace.settlement.errors import ChainUnavailable, SettlementError, before_money_moves
from marketplace.settlement.models import (
    Asset,
    ChainTransaction,
    ConsumerWallet,
    Escrow,
    Payout,
    SettlementEpoch,
)
from marketplace.settlement.reconcile import reconcile
from marketplace.settlement.wallets import consumer_wallet

__all__ = [
    "close_job",
    "consumer_wallet",
    "faucet",
    "open_escrow",
    "reconcile",
    "record_revocations",
    "register_agreements",
    "revoke_agreement",
    "run_epoch",
    "sweep",
]

GAS = {
    "mint": 120_000,
    "ether": 60_000,
    "settle": 160_000,
    "close": 160_000,
}
GAS |= {"fund": 120_000, "publish": 90_000, "register": 120_000, "revoke": 90_000}
PUSH_GAS, PUSH_GAS_EACH = 200_000, 33_000
RECIPIENTS = min(MOST_RECIPIENTS, (16_777_216 - PUSH_GAS) // PUSH_GAS_EACH)
"""Recipients of one push: what surely fits one transaction even when every one of them is new to the token or has a credit."""


def faucet(account: Any, amount: int) -> list[ChainTransaction]:
    """Development tokens, and some native coin for gas.

    Raises:
        SettlementError: this is not a development site.
    """
    if not settings.DEVELOPMENT:
        raise SettlementError("no_faucet", "There is no faucet here; fund your wallet with real tokens.")
    wallet = consumer_wallet(account)
    count = ChainTransaction.objects.filter(key__startswith=f"mint:{wallet.pk}:").count()
    with transaction.atomic():
        ether = outbox.enqueue(
            key=f"ether:{wallet.pk}:{count}",
            purpose="faucet",
            to=wallet.address,
            data=b"",
            gas=GAS["ether"],
            value=10**18,
        )
        mint = outbox.enqueue(
            key=f"mint:{wallet.pk}:{count}",
            purpose="faucet",
            to=selectors.address("DevToken"),
            data=encode_call("DevToken", "mint", [wallet.address, amount]),
            gas=GAS["mint"],
        )
    _wake()
    return [ether, mint]


def open_escrow(
    *,
    job_id: uuid.UUID,
    consumer_account: Any,
    rate: int,
    budget: int,
    expires: int,
    collective_id: uuid.UUID | None = None,
) -> Escrow:
    """Wish for an escrow: `orders` gets an order of the collective's asset, then opens it. Idempotent by job.

    Without `collective_id`, or where a development chain knows no Ocean contracts, the job names no order.

    Raises:
        SettlementError: `insufficient_funds` with both figures, `blocked`, `chain_down`, `ordering_disabled`, `not_published`.
    """
    found = Escrow.objects.filter(job_id=job_id).exclude(status=Escrow.Status.FAILED).first()
    if found is not None:
        return found
    wallet = consumer_wallet(consumer_account)
    blocked = selectors.new_jobs_blocked()
    if blocked:
        raise SettlementError("blocked", "No new jobs at the moment: %(blocked)s", blocked=blocked)
    asset = _asset_to_order(collective_id)
    _check_funds(wallet, budget, asset)
    selectors.address("CollectiveEscrow")
    with transaction.atomic():
        ConsumerWallet.objects.select_for_update().get(pk=wallet.pk)
        # Another request for the same job may have been faster, and its escrow may be open by now.
        found = Escrow.objects.filter(job_id=job_id).exclude(status=Escrow.Status.FAILED).first()
        if found is not None:
            return found
        escrow, _ = Escrow.objects.update_or_create(
            job_id=job_id,
            defaults={
                "consumer": wallet,
                "rate": rate,
                "budget": budget,
                "expires": expires,
                "asset": asset,
                "asset_order": None,
                "reason": "",
                "status": Escrow.Status.OPENING,
            },
        )
    _wake()
    return escrow


def _asset_to_order(collective_id: uuid.UUID | None) -> Asset | None:
    if collective_id is None or not assets.possible():
        if settings.DEVELOPMENT:
            return None
        raise SettlementError(
            "not_published", "This collective is not an asset on the chain, so there is nothing to order yet."
        )
    asset = assets.publish(kind=Asset.Kind.COLLECTIVE, subject=collective_id)
    if asset.state not in (Asset.State.ACTIVE, Asset.State.UNLISTED):
        raise SettlementError(
            "ordering_disabled",
            "This collective takes no orders: %(state)s. Nothing was moved.",
            state=asset.get_state_display(),
        )
    return asset


def _check_funds(wallet: ConsumerWallet, budget: int, asset: Asset | None) -> None:
    """The budget, and what an order of the collective costs where none is left over."""
    with before_money_moves():
        balance = selectors.balance(wallet.address)
        extra = preview.order_cost(wallet, asset) if asset is not None else 0
    if balance < budget + extra:
        order = Sentence(" and its order %(amount)s", amount=tokens(extra)) if extra else ""
        raise SettlementError(
            "insufficient_funds",
            "Your wallet holds %(balance)s %(token)s; this job needs %(budget)s%(order)s. Add "
            "%(missing)s, or lower the budget. Nothing was moved.",
            balance=tokens(balance),
            token=settings.TOKEN_SYMBOL,
            budget=tokens(budget),
            order=order,
            missing=tokens(budget + extra - balance),
        )


def run_epoch(*, final_jobs: Iterable[uuid.UUID] | None = None) -> SettlementEpoch | None:
    """Close the next epoch, or go on with the last unfinished one; None when there is nothing to settle.

    Raises:
        ChainUnavailable: the aggregator does not answer now.
        SettlementError: its statement is not acceptable.
    """
    with telemetry.span("settlement.epoch"):
        return _run_epoch([str(job) for job in final_jobs or ()])


def _run_epoch(final_jobs: list[str]) -> SettlementEpoch | None:
    last = SettlementEpoch.objects.defer("statement").first()  # which is long: it names every address paid
    if last is not None and last.status != SettlementEpoch.Status.DONE:
        effects.finish_epoch(last.number)
        return last
    sales.tell_settled()
    record_revocations()
    ledger = clients.totals()
    sold = sales.due()
    # By our own rows: a statement that was closed but never pulled (a kill between the two) is pulled now, under the same number.
    if ledger["earned"] == _pulled() and not ledger["carried"] and not ledger["held_over"] and not sold:
        return None
    number = last.number + 1 if last else 1
    envelope = clients.close_epoch(number, final_jobs, sold)
    document = envelope["document"]
    try:
        with transaction.atomic():
            epoch = SettlementEpoch.objects.create(
                number=number,
                statement=envelope,
                sold=int(document.get("sold", 0)),
                **{name: int(document[name]) for name in ("earned", "paid", "carried", "held_over")},
            )
            sales.stated(number, document.get("sales", []))
            _enqueue_epoch(epoch, document)
            for collective_id in agreements.collectives_with_agreements():
                register_agreements(collective_id, number, agreements.agreements_for_epoch(collective_id))
    except IntegrityError:  # another worker pulled the same statement
        return SettlementEpoch.objects.get(number=number)
    effects.finish_epoch(number)
    _wake()
    return epoch


def _enqueue_epoch(epoch: SettlementEpoch, document: dict[str, Any]) -> None:
    """Settlements first, then one transfer to the pool, then the pushes, then the root over what is still owed."""
    row: ChainTransaction | None = None
    for job in document["jobs"]:
        arguments = [
            job_bytes(uuid.UUID(job["job_id"])),
            job["seq"],
            job["visits"],
            bytes.fromhex(job["receipts_root"]),
        ]
        row = outbox.enqueue(
            key=effects.settle_key(job),
            purpose="settler",
            to=selectors.address("CollectiveEscrow"),
            data=encode_call("CollectiveEscrow", "settle", arguments),
            gas=GAS["settle"],
            depends_on=row,
        )
    if row is not None:
        row = outbox.enqueue(
            key=f"fund:{epoch.number}",
            purpose="settler",
            to=selectors.address("CollectiveEscrow"),
            data=encode_call("CollectiveEscrow", "fundPool", []),
            gas=GAS["fund"],
            depends_on=row,
        )
    payouts = [(address, int(value)) for address, value in document["payouts"]]
    for start in range(0, len(payouts), RECIPIENTS):
        row = _enqueue_push(epoch, start // RECIPIENTS, payouts[start : start + RECIPIENTS], row)
    owed = bytes.fromhex(document["owed_root"])
    if any(owed) and (payouts or document["jobs"] or document.get("sales")):
        outbox.enqueue(
            key=f"publish:{epoch.number}",
            purpose="publisher",
            to=selectors.address("PayoutPool"),
            data=encode_call("PayoutPool", "publish", [owed]),
            gas=GAS["publish"],
            depends_on=row,
        )


def _enqueue_push(
    epoch: SettlementEpoch, index: int, payouts: list[tuple[str, int]], after: ChainTransaction | None
) -> ChainTransaction:
    from eth_utils import to_checksum_address

    batch = bytes(keccak(f"push:{epoch.number}:{index}".encode()))
    addresses = [to_checksum_address(address) for address, _ in payouts]
    row = outbox.enqueue(
        key=f"push:{epoch.number}:{index}",
        purpose="payer",
        to=selectors.address("PayoutPool"),
        data=encode_call("PayoutPool", "push", [batch, addresses, [value for _, value in payouts]]),
        gas=PUSH_GAS + PUSH_GAS_EACH * len(payouts),
        depends_on=after,
    )
    rows = [Payout(epoch=epoch, transaction=row, address=a.lower(), amount=value) for a, value in payouts]
    Payout.objects.bulk_create(rows)
    return row


def _pulled() -> int:
    """What the epochs in our rows say was earned, base units."""
    return sum(int(earned) for earned in SettlementEpoch.objects.values_list("earned", flat=True))


def close_job(job_id: uuid.UUID) -> None:
    """Refund what is left, once every visit of the job is settled. Called again and again until the escrow is closing.

    In production a job waits for its epoch; in development an epoch is closed for it at once, and reports say so.
    """
    escrow = Escrow.objects.get(job_id=job_id)
    if escrow.status != Escrow.Status.OPEN:
        return
    try:
        if SettlementEpoch.objects.exclude(status=SettlementEpoch.Status.DONE).exists():
            run_epoch(final_jobs=[job_id])
            return
        ledger = clients.totals()
        # What is stated must be in our rows: another worker may be pulling it, and a refund before its settlement would take
        # the money that visits earned.
        if not ledger["earned"] == ledger["stated"] == _pulled():
            if settings.EPOCH_ON_JOB_END:
                run_epoch(final_jobs=[job_id])
            return
    except ChainUnavailable:
        return
    with transaction.atomic():
        if not Escrow.objects.filter(pk=escrow.pk, status=Escrow.Status.OPEN).update(
            status=Escrow.Status.CLOSING
        ):
            return
        outbox.enqueue(
            key=f"close:{job_id}",
            purpose="settler",
            to=selectors.address("CollectiveEscrow"),
            data=encode_call("CollectiveEscrow", "close", [job_bytes(job_id)]),
            gas=GAS["close"],
        )
    _wake()


def register_agreements(
    collective_id: uuid.UUID, epoch: int, agreement_hashes: Iterable[str]
) -> ChainTransaction | None:
    """Publish the root over a collective's agreements in force; None for nobody."""
    leaves = [bytes(keccak(bytes.fromhex(found))) for found in agreement_hashes]
    if not leaves:
        return None
    return outbox.enqueue(
        key=f"register:{collective_id}:{epoch}",
        purpose="publisher",
        to=selectors.address("SubscriptionRegistry"),
        data=encode_call(
            "SubscriptionRegistry", "register", [job_bytes(collective_id), epoch, receipts_root(leaves)]
        ),
        gas=GAS["register"],
    )


def revoke_agreement(collective_id: uuid.UUID, agreement_hash: str) -> ChainTransaction:
    """Record on chain that an agreement ended."""
    return outbox.enqueue(
        key=f"revoke:{agreement_hash}",
        purpose="publisher",
        to=selectors.address("SubscriptionRegistry"),
        data=encode_call(
            "SubscriptionRegistry", "revoke", [job_bytes(collective_id), bytes.fromhex(agreement_hash)]
        ),
        gas=GAS["revoke"],
    )


def record_revocations() -> int:
    """Record on chain, together at an epoch's end, what ended since the last time; how many. Access ended long before."""
    known = set(ChainTransaction.objects.filter(key__startswith="revoke:").values_list("key", flat=True))
    ended = [
        (collective_id, found)
        for collective_id in agreements.collectives_with_agreements()
        for found in agreements.revoked_agreements(collective_id)
        if f"revoke:{found}" not in known
    ]
    with transaction.atomic():
        for collective_id, found in ended:
            revoke_agreement(collective_id, found)
    if ended:
        _wake()
    return len(ended)


def sweep() -> int:
    """One pass of the outbox, and the next step of whatever waits for a transaction."""
    return outbox.sweep() + orders.advance() + sales.advance() + assets.advance()


def _wake() -> None:
    transaction.on_commit(lambda: wakeups.send("settlement.sweep"))
