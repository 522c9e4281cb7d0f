"""What a confirmed or failed chain transaction means for our own rows; runs in the transaction that records it."""

from __future__ import annotations

import uuid

from django.db.models import Q, QuerySet
from eth_utils import keccak

from marketplace.settlement import asset_effects
from marketplace.settlement.chain import Receipt
from marketplace.settlement.models import (
    AssetOrder,
    ChainTransaction,
    Deployment,
    Escrow,
    FundsMovement,
    SettlementEpoch,
)

E = Escrow.Status


def transaction_hash(raw: bytes) -> str:
    return "0x" + bytes(keccak(raw)).hex()


def confirmed(row: ChainTransaction, receipt: Receipt) -> None:
    kind, _, rest = row.key.partition(":")
    if kind == "open":
        job_id = uuid.UUID(rest.split(":")[0])
        Escrow.objects.filter(job_id=job_id, status=E.OPENING).update(status=E.OPEN)
        AssetOrder.objects.filter(escrow__job_id=job_id).update(consumed=True)
    elif kind in ("bring", "send"):
        FundsMovement.objects.filter(pk=int(rest)).update(status=FundsMovement.Status.DONE)
    elif kind in asset_effects.KINDS:
        asset_effects.confirmed(kind, rest, row, receipt)
    elif kind == "settle":
        job, sequence, visits = rest.split(":")
        escrow = Escrow.objects.select_for_update().get(job_id=uuid.UUID(job))
        escrow.spent += escrow.rate * int(visits)
        escrow.sequence = int(sequence)
        escrow.save(update_fields=["spent", "sequence"])
    elif kind == "close":
        escrow = Escrow.objects.select_for_update().get(job_id=uuid.UUID(rest))
        escrow.status, escrow.refunded = E.CLOSED, escrow.budget - escrow.spent
        escrow.save(update_fields=["status", "refunded"])
    elif kind == "deploy" and receipt.contract:
        Deployment.objects.update_or_create(
            chain_id=int(rest.split(":")[1]),
            name=rest.split(":")[0],
            defaults={"address": receipt.contract, "block": receipt.block_number},
        )
    elif kind in ("fund", "push", "publish"):
        finish_epoch(int(rest.split(":")[0]))


def failed(row: ChainTransaction) -> None:
    kind, _, rest = row.key.partition(":")
    if kind in ("approve", "open"):
        # The order stays good: it opened nothing, and the next try takes it.
        job_id = uuid.UUID(rest.split(":")[0])
        Escrow.objects.filter(job_id=job_id, status=E.OPENING).update(
            status=E.FAILED, asset_order=None, reason=row.error[:300]
        )
    elif kind in ("permit", "bring", "send"):
        waiting = FundsMovement.objects.filter(pk=int(rest), status=FundsMovement.Status.WAITING)
        waiting.update(status=FundsMovement.Status.FAILED, reason=f"{row.error}. Nothing was moved.")
    elif kind in asset_effects.KINDS:
        asset_effects.failed(kind, rest, row.error)


def finish_epoch(number: int) -> None:
    """An epoch is done when every transaction of it is confirmed.

    Its transfer to the pool waits for its settlements, so those need not be looked up in its statement, which names every address paid.
    """
    not_yet = (*ChainTransaction.ON_ITS_WAY, ChainTransaction.State.FAILED)
    if not ChainTransaction.objects.filter(_payments(number), state__in=not_yet).exists():
        SettlementEpoch.objects.filter(number=number).update(status=SettlementEpoch.Status.DONE)


def of_epoch(number: int) -> QuerySet[ChainTransaction]:
    """Every transaction that pays an epoch."""
    return ChainTransaction.objects.filter(_payments(number) | Q(key__in=_settlements(number)))


def _payments(number: int) -> Q:
    """Of an epoch's transactions those that move or publish what was settled."""
    return Q(key__in=(f"fund:{number}", f"publish:{number}")) | Q(key__startswith=f"push:{number}:")


def _settlements(number: int) -> list[str]:
    """The keys of the epoch's settlements, one for each of its jobs."""
    epoch = SettlementEpoch.objects.filter(number=number).first()
    jobs = epoch.statement.get("document", {}).get("jobs", []) if epoch else []
    return [settle_key(job) for job in jobs]


def settle_key(job: dict[str, object]) -> str:
    """The business key of one job's settlement; it carries the visits, so that a confirmation needs no other row."""
    return f"settle:{uuid.UUID(str(job['job_id']))}:{job['seq']}:{job['visits']}"
