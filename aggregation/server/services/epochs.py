"""Closing settlement epochs: visits in, one signed statement of job totals and (address, amount) out.

The arithmetic is in `aggregation.epochs`. An epoch is closed in one transaction and its statement never changes: asking again
gives the same bytes. Visits and addresses meet only inside that transaction. When the statement is settled on chain the
visit rows are deleted, and only totals remain.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import rfc8785
from django.db import transaction

from aggregation.epochs import Credit, Earned, JobTotal, Rules, Statement, close_epoch, receipts_root
from aggregation.secagg.messages import Header
from aggregation.server import config
from aggregation.server.errors import Conflict, Unknown
from aggregation.server.models import (
    ALIAS,
    Balance,
    Epoch,
    Participant,
    PayoutAddress,
    Round,
    Unopened,
    Visit,
)
from aggregation.server.models import JobTotal as JobTotalRow
from aggregation.server.services import shares
from aggregation.server.services.shares import SaleOrder
from aggregation.server.states import OVER
from aggregation.wire import signing
from aggregation.wire.secret import Secret

LABEL = b"cssi/v1/epoch"
CHUNK = 400
_OVER = [step.value for step in OVER]


@dataclass(frozen=True, kw_only=True)
class EpochOrder:
    """What the market asks for. Jobs in `final_jobs` are stated to their last visit, however few."""

    epoch: int
    final_jobs: tuple[str, ...]
    lot: int
    min_recipients: int
    min_collectives: int
    sales: tuple[SaleOrder, ...] = ()

    def document(self) -> dict[str, Any]:
        return {
            "final_jobs": sorted(self.final_jobs),
            "lot": str(self.lot),
            "min_recipients": self.min_recipients,
            "min_collectives": self.min_collectives,
            "sales": sorted(str(sale.sale_id) for sale in self.sales),
        }


@transaction.atomic(using=ALIAS)
def close(order: EpochOrder) -> dict[str, Any]:
    """The signed statement of an epoch; of a closed one the same again, whatever is asked for now.

    (A market that crashed after asking may ask again with other final jobs; they come into the next epoch.)

    Raises:
        Conflict: a later epoch exists.
    """
    known = Epoch.objects.select_for_update().filter(number=order.epoch).first()
    if known is not None:
        return dict(json.loads(known.statement))
    if Epoch.objects.filter(number__gt=order.epoch).exists():
        raise Conflict("A later epoch was closed; epochs only go forward.")
    visits = _due_visits(order.final_jobs)
    statement = _state(order, visits)
    envelope = signed(statement.to_document())
    Epoch.objects.create(
        number=order.epoch,
        request=order.document(),
        statement=json.dumps(envelope),
        earned=statement.earned,
        paid=statement.paid,
        carried=statement.carried,
        held_over=statement.held_over,
        at=config.now(),
    )
    ids = [visit.pk for visit in visits]
    for start in range(0, len(ids), CHUNK):
        Visit.objects.filter(pk__in=ids[start : start + CHUNK]).update(epoch=order.epoch)
    return envelope


def signed(document: dict[str, Any]) -> dict[str, Any]:
    """The envelope of a statement: the signature covers the SHA-256 of the document's RFC 8785 form."""
    digest = hashlib.sha256(rfc8785.dumps(document)).digest()
    return {
        "kind": "epoch",
        "document": document,
        "key": config.public_key().hex(),
        "signature": signing.sign(config.private_key(), LABEL, {"hash": digest}).hex(),
    }


def _due_visits(final_jobs: Iterable[str]) -> list[Visit]:
    """Unstated visits of rounds that are over; of a job that goes on only when they are no fewer than a cohort's minimum."""
    finished = set(Round.objects.filter(step__in=_OVER).values_list("job_id", "number"))
    unstated = Visit.objects.select_for_update().filter(epoch__isnull=True).order_by("pk")
    visits = [visit for visit in unstated if (visit.job_id, visit.round) in finished]
    counts = Counter(visit.job_id for visit in visits)
    final = set(final_jobs)
    due = {job for job, count in counts.items() if str(job) in final or count >= _minimum(job)}
    return [visit for visit in visits if visit.job_id in due]


def _minimum(job_id: object) -> int:
    header = Round.objects.filter(job_id=job_id).order_by("-number").values_list("header", flat=True).first()
    return Header.from_bytes(bytes(header)).release_min if header is not None else 1


def _state(order: EpochOrder, visits: list[Visit]) -> Statement:
    sold = _sold(order)
    keys = (
        {visit.subscription_key for visit in visits}
        | set(sold)
        | set(Unopened.objects.values_list("subscription_key", flat=True))
    )
    addresses = _addresses(keys)
    opened = [visit for visit in visits if visit.subscription_key in addresses]
    statement = close_epoch(
        epoch=order.epoch,
        earned=_earned(opened, addresses),
        jobs=_job_totals(opened, {}),
        carried=_carried(addresses),
        rules=Rules(
            lot=order.lot, min_recipients=order.min_recipients, min_collectives=order.min_collectives
        ),
        parts=_credits(sold, addresses),
    )
    _keep_balances(statement)
    waiting = _keep_unopened(visits, sold, addresses)
    jobs = _job_totals(visits, _sequences(visits, set(order.final_jobs)))
    unopened_now = sum(visit.rate for visit in visits if visit.subscription_key not in addresses)
    sold_unopened = sum(amount for key, (amount, _) in sold.items() if key not in addresses)
    return replace(
        statement,
        jobs=tuple(jobs),
        earned=statement.earned + unopened_now + sold_unopened,
        sales=tuple(sorted(str(sale.sale_id) for sale in order.sales)),
        sold=statement.sold + sold_unopened,
        held_over=statement.held_over + waiting,
    )


def _sold(order: EpochOrder) -> dict[str, tuple[int, str]]:
    """What each subscription gets of the sales, with the collective it comes from."""
    found: dict[str, tuple[int, str]] = {}
    for sale in order.sales:
        collective = str(JobTotalRow.objects.get(job_id=sale.job_id).collective_id)
        for key, amount in shares.parts(sale).items():
            found[key] = (found.get(key, (0, collective))[0] + amount, collective)
        shares.remember(sale, order.epoch)
    return found


def _credits(sold: dict[str, tuple[int, str]], addresses: dict[str, bytes]) -> list[Credit]:
    return [
        Credit(address=addresses[key], collective_id=collective, amount=amount)
        for key, (amount, collective) in sorted(sold.items())
        if key in addresses
    ]


def _addresses(keys: Iterable[str]) -> dict[str, bytes]:
    wanted = sorted(keys)
    found: dict[str, bytes] = {}
    for start in range(0, len(wanted), CHUNK):
        rows = PayoutAddress.objects.filter(subscription_key__in=wanted[start : start + CHUNK])
        found.update({row.subscription_key: bytes.fromhex(row.address) for row in rows})
    return found


def _earned(visits: Iterable[Visit], addresses: dict[str, bytes]) -> list[Earned]:
    counts = Counter(
        (addresses[visit.subscription_key], str(visit.job_id), str(visit.collective_id), visit.rate)
        for visit in visits
    )
    return [
        Earned(address=address, job_id=job, collective_id=collective, visits=number, rate=rate)
        for (address, job, collective, rate), number in sorted(counts.items())
    ]


def _job_totals(visits: Iterable[Visit], sequences: dict[str, int]) -> list[JobTotal]:
    by_job: dict[tuple[str, int], list[bytes]] = {}
    for visit in visits:
        receipt = hashlib.sha256(bytes(visit.receipt)).digest()
        by_job.setdefault((str(visit.job_id), visit.rate), []).append(receipt)
    return [
        JobTotal(
            job_id=job,
            sequence=sequences.get(job, 0),
            visits=len(receipts),
            rate=rate,
            receipts_root=receipts_root(receipts),
        )
        for (job, rate), receipts in sorted(by_job.items())
    ]


def _sequences(visits: Iterable[Visit], final: set[str]) -> dict[str, int]:
    """Count up the settlement of every stated job and remember its visits."""
    counts = Counter((visit.job_id, visit.collective_id) for visit in visits)
    sequences: dict[str, int] = {}
    for (job_id, collective_id), number in counts.items():
        row, _ = JobTotalRow.objects.get_or_create(job_id=job_id, defaults={"collective_id": collective_id})
        row.sequence, row.visits = row.sequence + 1, row.visits + number
        row.final = row.final or str(job_id) in final
        row.save()
        sequences[str(job_id)] = row.sequence
    return sequences


def _carried(addresses: dict[str, bytes]) -> dict[bytes, int]:
    """Owed from before, and what was held for subscriptions whose address is known now."""
    carried = {bytes.fromhex(row.address): row.owed for row in Balance.objects.all() if row.owed}
    for row in Unopened.objects.filter(subscription_key__in=list(addresses)):
        address = addresses[row.subscription_key]
        carried[address] = carried.get(address, 0) + row.amount
        row.delete()
    return carried


def _keep_balances(statement: Statement) -> None:
    rows = {row.address: row for row in Balance.objects.all()}
    for row in rows.values():
        row.owed = 0
    for address, owed in statement.balances:
        rows.setdefault(address.hex(), Balance(address=address.hex(), owed=0, paid=0)).owed = owed
    for address, amount in statement.payouts:
        row = rows.setdefault(address.hex(), Balance(address=address.hex(), owed=0, paid=0))
        row.paid += amount
    Balance.objects.bulk_create(
        list(rows.values()),
        update_conflicts=True,
        unique_fields=["address"],
        update_fields=["owed", "paid"],
        batch_size=300,
    )


def _keep_unopened(
    visits: Iterable[Visit], sold: dict[str, tuple[int, str]], addresses: dict[str, bytes]
) -> int:
    """Add the new ones; everything that still waits for an address."""
    new: Counter[str] = Counter({key: amount for key, (amount, _) in sold.items()})
    for visit in visits:
        new[visit.subscription_key] += visit.rate
    for key, amount in new.items():
        if key not in addresses:
            row, _ = Unopened.objects.get_or_create(subscription_key=key, defaults={"amount": 0})
            row.amount += amount
            row.save()
    return sum(Unopened.objects.values_list("amount", flat=True))


def statement(number: int) -> dict[str, Any]:
    row = Epoch.objects.filter(number=number).first()
    if row is None:
        raise Unknown("This epoch is not closed yet.")
    return dict(json.loads(row.statement))


@transaction.atomic(using=ALIAS)
def settled(number: int, keep: Iterable[uuid.UUID] = (), seal: Secret | None = None) -> None:
    """The statement is on chain: forget which visit a payout belonged to. Repeating the call changes nothing.

    Of the jobs in `keep`, whose models may be sold, the visits are kept sealed under `seal`, which is kept nowhere here.
    """
    row = Epoch.objects.select_for_update().filter(number=number).first()
    if row is None:
        raise Unknown("This epoch is not closed yet.")
    if seal is not None:
        shares.keep(number, keep, seal)
    rounds = set(Visit.objects.filter(epoch=number).values_list("job_id", "round"))
    Visit.objects.filter(epoch=number).delete()
    for job_id, round_number in rounds:
        if not Visit.objects.filter(job_id=job_id, round=round_number).exists():
            Participant.objects.filter(round__job_id=job_id, round__number=round_number).delete()
    row.state = Epoch.State.SETTLED
    row.save(update_fields=["state"])


def totals() -> dict[str, str]:
    """For reconciliation, in base units."""
    epochs = list(Epoch.objects.order_by("number"))
    stated = sum(row.earned for row in epochs)
    unstated = sum(Visit.objects.filter(epoch__isnull=True).values_list("rate", flat=True))
    last = epochs[-1] if epochs else None
    return {
        "earned": str(stated + unstated),
        "stated": str(stated),
        "paid": str(sum(row.paid for row in epochs)),
        "carried": str(last.carried if last else 0),
        "held_over": str(last.held_over if last else 0),
    }
