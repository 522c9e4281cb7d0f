"""Closing settlement epochs: visits in, one signed statement of job totals and (address, amount) out.

The arithmetic is in `aggregation.epochs`. An epoch is closed in one transaction and its statement never changes: asking again
gives the same bytes. Visits and addresses meet only inside that transaction. When the statement is settled on chain the
visit rows are deleted, and only totals remain.

Memory grows with the addresses of an epoch, which its statement lists anyway, and not with its visits: the database counts those, and
their receipts are read in portions of `RECEIPTS_AT_ONCE` (docs/adr/0076).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import rfc8785
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet

from aggregation.epochs import (
    Credit,
    Earned,
    JobTotal,
    Rules,
    Statement,
    close_epoch,
    receipts_root_of_sorted,
)
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
RECEIPTS_AT_ONCE = 250_000
"""Hashes of receipts held and sorted at a time, about 18 MB; a job with more of them in an epoch is read once per portion."""
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
    statement = _state(order, _take_due_visits(order))
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


def _take_due_visits(order: EpochOrder) -> QuerySet[Visit]:
    """Unstated visits of rounds that are over, now marked as this epoch's; of a job that goes on only when they are no fewer than a cohort's
    minimum."""
    over = Round.objects.filter(job_id=OuterRef("job_id"), number=OuterRef("round"), step__in=_OVER)
    unstated = Visit.objects.filter(Exists(over), epoch__isnull=True)
    final = set(order.final_jobs)
    counts = list(unstated.values_list("job_id").annotate(Count("pk")).order_by("job_id"))
    for job_id, count in counts:
        if str(job_id) in final or count >= _minimum(job_id):
            unstated.filter(job_id=job_id).update(epoch=order.epoch)
    return Visit.objects.filter(epoch=order.epoch).order_by()


def _minimum(job_id: object) -> int:
    header = Round.objects.filter(job_id=job_id).order_by("-number").values_list("header", flat=True).first()
    return Header.from_bytes(bytes(header)).release_min if header is not None else 1


@dataclass(frozen=True, kw_only=True)
class _Group:
    """`visits` of one subscription in one job at one rate."""

    subscription_key: str
    job_id: uuid.UUID
    collective_id: uuid.UUID
    rate: int
    visits: int


def _groups(visits: QuerySet[Visit]) -> Iterator[_Group]:
    """As the database counts them; the order is its own."""
    fields = ("subscription_key", "job_id", "collective_id", "rate")
    for row in visits.values_list(*fields).annotate(Count("pk")).iterator(CHUNK):
        yield _Group(**dict(zip((*fields, "visits"), row, strict=True)))


def _state(order: EpochOrder, visits: QuerySet[Visit]) -> Statement:
    sold = _sold(order)
    keys = (
        set(visits.values_list("subscription_key", flat=True).distinct())
        | set(sold)
        | set(Unopened.objects.values_list("subscription_key", flat=True))
    )
    addresses = _addresses(keys)
    sold_unopened = Counter({key: amount for key, (amount, _) in sold.items() if key not in addresses})
    unopened = [group for group in _groups(visits) if group.subscription_key not in addresses]
    jobs = _job_totals(visits, _sequences(visits, set(order.final_jobs)))
    statement = close_epoch(
        epoch=order.epoch,
        earned=_earned(visits, addresses),
        jobs=_without(unopened, jobs),
        carried=_carried(addresses),
        rules=Rules(
            lot=order.lot, min_recipients=order.min_recipients, min_collectives=order.min_collectives
        ),
        parts=_credits(sold, addresses),
    )
    _keep_balances(statement)
    new = sold_unopened.copy()
    for group in unopened:
        new[group.subscription_key] += group.visits * group.rate
    waiting = _keep_unopened(new)
    return replace(
        statement,
        jobs=tuple(jobs),
        earned=statement.earned + new.total(),
        sales=tuple(sorted(str(sale.sale_id) for sale in order.sales)),
        sold=statement.sold + sold_unopened.total(),
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


def _earned(visits: QuerySet[Visit], addresses: dict[str, bytes]) -> Iterator[Earned]:
    for group in _groups(visits):
        if group.subscription_key in addresses:
            yield Earned(
                address=addresses[group.subscription_key],
                job_id=str(group.job_id),
                collective_id=str(group.collective_id),
                visits=group.visits,
                rate=group.rate,
            )


def _job_totals(visits: QuerySet[Visit], sequences: dict[str, int]) -> list[JobTotal]:
    counts = sorted(visits.values_list("job_id", "rate").annotate(Count("pk")))
    return [
        JobTotal(
            job_id=str(job_id),
            sequence=sequences[str(job_id)],
            visits=count,
            rate=rate,
            receipts_root=receipts_root_of_sorted(_receipts(visits.filter(job_id=job_id, rate=rate), count)),
        )
        for job_id, rate, count in counts
    ]


def _receipts(visits: QuerySet[Visit], count: int) -> Iterator[bytes]:
    """SHA-256 of every receipt, ascending, never more than about `RECEIPTS_AT_ONCE` of them in memory.

    Hashes are spread evenly, so those whose first four bytes fall into the same of n equal ranges are about count / n.
    """
    portions = -(-count // RECEIPTS_AT_ONCE)
    for portion in range(portions):
        read = visits.values_list("receipt", flat=True).iterator(CHUNK)
        hashes = (hashlib.sha256(bytes(receipt)).digest() for receipt in read)
        yield from sorted(h for h in hashes if int.from_bytes(h[:4], "big") * portions >> 32 == portion)


def _without(unopened: Iterable[_Group], jobs: Iterable[JobTotal]) -> list[JobTotal]:
    """The jobs' totals less the visits that no address is known for."""
    missing: Counter[tuple[str, int]] = Counter()
    for group in unopened:
        missing[str(group.job_id), group.rate] += group.visits
    return [replace(job, visits=job.visits - missing[job.job_id, job.rate]) for job in jobs]


def _sequences(visits: QuerySet[Visit], final: set[str]) -> dict[str, int]:
    """Count up the settlement of every stated job and remember its visits."""
    sequences: dict[str, int] = {}
    for job_id, collective_id, count in list(
        visits.values_list("job_id", "collective_id").annotate(Count("pk"))
    ):
        row, _ = JobTotalRow.objects.get_or_create(job_id=job_id, defaults={"collective_id": collective_id})
        row.sequence, row.visits = row.sequence + 1, row.visits + count
        row.final = row.final or str(job_id) in final
        row.save()
        sequences[str(job_id)] = row.sequence
    return sequences


def _carried(addresses: dict[str, bytes]) -> dict[bytes, int]:
    """Owed from before, and what was held for subscriptions whose address is known now."""
    owed = Balance.objects.exclude(owed=0).values_list("address", "owed")
    carried = {bytes.fromhex(address): amount for address, amount in owed}
    for row in list(Unopened.objects.all()):
        if row.subscription_key in addresses:
            address = addresses[row.subscription_key]
            carried[address] = carried.get(address, 0) + row.amount
            row.delete()
    return carried


def _keep_balances(statement: Statement) -> None:
    owed, paid = dict(statement.balances), dict(statement.payouts)
    Balance.objects.exclude(owed=0).update(owed=0)
    touched = sorted(owed.keys() | paid.keys())
    for start in range(0, len(touched), CHUNK):
        names = [address.hex() for address in touched[start : start + CHUNK]]
        before = dict(Balance.objects.filter(address__in=names).values_list("address", "paid"))
        Balance.objects.bulk_create(
            [
                Balance(
                    address=name,
                    owed=owed.get(bytes.fromhex(name), 0),
                    paid=before.get(name, 0) + paid.get(bytes.fromhex(name), 0),
                )
                for name in names
            ],
            update_conflicts=True,
            unique_fields=["address"],
            update_fields=["owed", "paid"],
            batch_size=300,
        )


def _keep_unopened(new: Mapping[str, int]) -> int:
    """Add to what waits for an address (base units by subscription); everything that waits now."""
    for key, amount in new.items():
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
    rounds = list(Visit.objects.filter(epoch=number).values_list("job_id", "round").distinct())
    Visit.objects.filter(epoch=number).delete()
    for job_id, round_number in rounds:
        if not Visit.objects.filter(job_id=job_id, round=round_number).exists():
            Participant.objects.filter(round__job_id=job_id, round__number=round_number).delete()
    row.state = Epoch.State.SETTLED
    row.save(update_fields=["state"])


def totals() -> dict[str, str]:
    """For reconciliation, in base units."""
    epochs = list(Epoch.objects.order_by("number").defer("request", "statement"))
    stated = sum(row.earned for row in epochs)
    rates = Visit.objects.filter(epoch__isnull=True).values_list("rate").annotate(Count("pk"))
    unstated = sum(rate * count for rate, count in rates)
    last = epochs[-1] if epochs else None
    return {
        "earned": str(stated + unstated),
        "stated": str(stated),
        "paid": str(sum(row.paid for row in epochs)),
        "carried": str(last.carried if last else 0),
        "held_over": str(last.held_over if last else 0),
    }
