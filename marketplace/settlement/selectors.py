"""Reads of money, for pages, APIs and the rest of the market."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from collectives import selectors as collectives
from collectives.terms.description import duration, tokens
from marketplace.settlement.chain import chain
from marketplace.settlement.errors import ChainUnavailable, SettlementError
from marketplace.settlement.models import (
    Asset,
    AssetOrder,
    ChainTransaction,
    ConsumerWallet,
    Deployment,
    Escrow,
    ModelPurchase,
    Payout,
    Reconciliation,
    SettlementEpoch,
)

ZERO = "0x" + "00" * 20


@dataclass(frozen=True, kw_only=True)
class EscrowState:
    """One job's money, base units."""

    status: str
    budget: int
    spent: int
    refunded: int
    transactions: tuple[ChainTransaction, ...]

    @property
    def refundable(self) -> int:
        return self.budget - self.spent - self.refunded


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Over all jobs, base units."""

    deposited: int
    settled: int
    paid: int
    refunded: int
    carried: int
    held_over: int


def place(name: str) -> tuple[str, int]:
    """(address, block) of a deployed contract.

    Raises:
        SettlementError: it is not deployed; says how.
    """
    found = Deployment.objects.filter(chain_id=settings.CHAIN_ID, name=name).first()
    if found is None:
        raise SettlementError(
            "not_deployed",
            "%(name)s is not deployed on chain %(chain)s; run `manage.py deploy_contracts`.",
            name=name,
            chain=str(settings.CHAIN_ID),
        )
    return found.address, found.block


def address(name: str) -> str:
    return place(name)[0]


def registry_address() -> str:
    """Where agreements are registered; zeros before deployment."""
    try:
        return address("SubscriptionRegistry")
    except SettlementError:
        return ZERO


def escrow_state(job_id: uuid.UUID) -> EscrowState | None:
    escrow = Escrow.objects.filter(job_id=job_id).first()
    if escrow is None:
        return None
    mine = rf"^(approve|open|settle|close):{job_id}"
    if escrow.asset_order_id is not None:
        mine += rf"|^(dispense|pay|buy|orderfee|order|reuse):{escrow.asset_order_id}(:|$)"
    rows = ChainTransaction.objects.filter(key__regex=mine)
    return EscrowState(
        status=escrow.status,
        budget=int(escrow.budget),
        spent=int(escrow.spent),
        refunded=int(escrow.refunded),
        transactions=tuple(rows),
    )


def escrow_status(job_id: uuid.UUID) -> str | None:
    """Where a job's escrow stands, without its money; None where there is none."""
    return Escrow.objects.filter(job_id=job_id).values_list("status", flat=True).first()


def new_jobs_blocked() -> str | None:
    """Why no new job is taken now, or None."""
    last = Reconciliation.objects.first()
    if last is None or last.ok:
        return None
    return _("ledger and chain differ since the last comparison. The administrator is looking into it.")


def in_flight() -> int:
    """Transactions that are neither confirmed nor failed yet. While there are some, ledger and chain are read at different moments."""
    return ChainTransaction.objects.filter(state__in=ChainTransaction.ON_ITS_WAY).count()


def money_totals() -> Totals:
    escrows = Escrow.objects.exclude(status__in=("opening", "failed")).values_list(
        "budget", "spent", "refunded"
    )
    deposited, settled, refunded = (
        (sum(column) for column in zip(*escrows, strict=True)) if escrows else (0, 0, 0)
    )
    confirmed = Payout.objects.filter(transaction__state=ChainTransaction.State.CONFIRMED)
    last = SettlementEpoch.objects.defer("statement").first()
    return Totals(
        deposited=deposited,
        settled=settled,
        refunded=refunded,
        paid=sum(confirmed.values_list("amount", flat=True)),
        carried=last.carried if last else 0,
        held_over=last.held_over if last else 0,
    )


@dataclass(frozen=True, kw_only=True)
class CollectiveTotals:
    """Over all jobs of one collective, base units; nothing in it is about one person."""

    settled: int
    waiting: int
    """Earned by visits and not settled yet: paid with the next epoch."""
    sold: int
    """The collective's own part of models that were sold."""
    sold_to_individuals: int


def collective_totals(collective_id: uuid.UUID) -> CollectiveTotals:
    jobs = {job.pk: job for job in collectives.jobs_of(collective_id)}
    escrows = Escrow.objects.filter(job_id__in=jobs)
    settled = sum(int(spent) for spent in escrows.values_list("spent", flat=True))
    earned = sum(job.visits_earned * int(job.rate) for job in jobs.values())
    paid = ModelPurchase.objects.filter(offer__job_id__in=jobs, status=ModelPurchase.Status.PAID)
    sales = [(int(price), int(part)) for price, part in paid.values_list("price", "to_individuals")]
    individuals = sum(part for _price, part in sales)
    return CollectiveTotals(
        settled=settled,
        waiting=max(0, earned - settled),
        sold=sum(price for price, _part in sales) - individuals,
        sold_to_individuals=individuals,
    )


def funds(account: Any) -> dict[str, Any]:
    """A consumer's money, for the page and the API alike: `balance` (None while the chain does not answer) and sums in base units,
    `rows` of escrows with their jobs, the last `transactions`.
    """
    wallet = ConsumerWallet.objects.filter(account=account).first()
    escrows = list(wallet.escrows.all()) if wallet else []
    jobs = collectives.jobs_by_id(escrow.job_id for escrow in escrows)
    running = [(e, jobs[e.job_id]) for e in escrows if e.status == Escrow.Status.OPEN and e.job_id in jobs]
    standing = [e for e in escrows if e.status in (Escrow.Status.OPEN, Escrow.Status.CLOSING)]
    in_escrow = sum(int(e.budget - e.spent) for e in standing)
    reserved = sum(job.visits_reserved * int(escrow.rate) for escrow, job in running)
    unsettled = sum(job.visits_earned * int(escrow.rate) - int(escrow.spent) for escrow, job in running)
    return {
        "wallet": wallet,
        "balance": _shown_balance(wallet.address) if wallet else 0,
        "rows": [{"escrow": escrow, "job": jobs.get(escrow.job_id)} for escrow in escrows],
        "in_escrow": in_escrow,
        "reserved": reserved,
        "unsettled": unsettled,
        "spent": sum(int(e.spent) for e in escrows),
        "refundable": max(0, in_escrow - reserved - unsettled),
        "transactions": transactions_of(account)[:50],
    }


def transactions_of(account: Any) -> QuerySet[ChainTransaction]:
    """What a consumer's wallet sent or is about to send, newest first."""
    wallets = ConsumerWallet.objects.filter(account=account).values_list("pk", flat=True)
    return ChainTransaction.objects.filter(purpose__in=[f"consumer:{pk}" for pk in wallets]).order_by("-pk")


@dataclass(frozen=True, kw_only=True)
class OrderLine:
    """One order of a consumer, for a page: `valid_until` and `usable_until` in unix seconds."""

    order: AssetOrder
    name: str
    valid_until: datetime
    usable_until: datetime


def orders_of(account: Any) -> list[OrderLine]:
    """A consumer's orders of collectives, newest first."""
    rows = AssetOrder.objects.filter(wallet__account=account).select_related("asset")[:50]
    ids = {row.pk: uuid.UUID(row.asset.subject) for row in rows if row.asset.kind == Asset.Kind.COLLECTIVE}
    names = collectives.names(ids.values())
    return [
        OrderLine(
            order=row,
            name=names.get(ids[row.pk], "") if row.pk in ids else row.asset.subject[:12],
            valid_until=datetime.fromtimestamp(row.valid_until, tz=UTC),
            usable_until=datetime.fromtimestamp(row.expires, tz=UTC),
        )
        for row in rows
    ]


def payouts_for(holder: str) -> dict[str, Any]:
    """What one payout address got and waits for; amounts as decimal strings, times in unix seconds. Never a visit.

    `next_epoch` is when payments are made next (None: with the end of a job, or before the first epoch) and `note` why there is
    a delay. What an address is owed below a lot, or held over, is known to the aggregator alone.
    """
    rows = Payout.objects.filter(address=holder.lower())
    confirmed = rows.filter(transaction__state=ChainTransaction.State.CONFIRMED)
    every, paid = (sum(found.values_list("amount", flat=True)) for found in (rows, confirmed))
    due, note = next_epoch()
    return {
        "paid": str(paid),
        "pending": str(every - paid),
        "epoch_seconds": settings.EPOCH_SECONDS,
        "next_epoch": due,
        "note": note,
    }


def next_epoch() -> tuple[int | None, str]:
    """(when the next epoch closes in unix seconds, a sentence that says why one waits)."""
    last = SettlementEpoch.objects.defer("statement").first()
    if settings.EPOCH_ON_JOB_END:
        return None, "This development site pays when a job ends."
    why = (
        f"Visits are paid together every {duration(settings.EPOCH_SECONDS)}, in lots of {tokens(settings.LOT)} "
        f"{settings.TOKEN_SYMBOL}, so that a payment does not say which visit it is for; what is below a lot is carried on."
        if settings.LOT
        else f"Visits are paid together every {duration(settings.EPOCH_SECONDS)}."
    )
    if last is None:
        return None, why
    due = int(last.created_at.timestamp()) + settings.EPOCH_SECONDS
    if last.held_over and not last.paid:
        day = datetime.fromtimestamp(due, tz=UTC)
        why = (
            f"The last epoch had fewer than {settings.EPOCH_MIN_RECIPIENTS} recipients or {settings.EPOCH_MIN_COLLECTIVES} "
            f"collectives, so nobody was paid: few payments would say whose they are. Everything is kept for the epoch "
            f"that closes on {day:%d %B %Y at %H:%M} UTC."
        )
    return due, why


def balance(holder: str) -> int:
    """Base units of the token at an address.

    Raises:
        ChainUnavailable: the chain does not answer now.
        SettlementError: nothing is deployed.
    """
    return int(chain().read("DevToken", address("DevToken"), "balanceOf", holder))


def _shown_balance(holder: str) -> int | None:
    try:
        return balance(holder)
    except (ChainUnavailable, SettlementError):
        return None
