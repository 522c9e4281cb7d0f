"""Ledger against chain, both ways, to the last unit. A difference stops new jobs until somebody has looked."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from marketplace.settlement import clients, outbox, selectors
from marketplace.settlement.chain import Chain, chain, job_bytes
from marketplace.settlement.errors import ChainUnavailable
from marketplace.settlement.models import (
    ChainTransaction,
    Escrow,
    ModelPurchase,
    Payout,
    Reconciliation,
    SettlementEpoch,
)

TRIES = 5


@dataclass(frozen=True, kw_only=True)
class ReconciliationReport:
    """`lines`: (name, figure in our ledger, figure on chain), base units."""

    ok: bool
    lines: tuple[tuple[str, int, int], ...]

    def differences(self) -> list[tuple[str, int, int]]:
        return [line for line in self.lines if line[1] != line[2]]


def reconcile() -> ReconciliationReport:
    """Compare as of the last final block and keep the result.

    Raises:
        ChainUnavailable: chain or aggregator does not answer, or blocks come too fast to compare; nothing is concluded.
    """
    link = chain()
    view = _View(link=link, block=_final_block(link))
    lines = [*_escrows(view), *_pool(view), *_sales(view), *_aggregator()]
    report = ReconciliationReport(ok=all(a == b for _, a, b in lines), lines=tuple(lines))
    Reconciliation.objects.create(ok=report.ok, lines=[[name, str(a), str(b)] for name, a, b in lines])
    return report


@dataclass(frozen=True, kw_only=True)
class _View:
    """The chain as it was after one block."""

    link: Chain
    block: int

    def events(self, name: str, event: str) -> list[dict[str, Any]]:
        address, first = selectors.place(name)
        return self.link.events(name, address, event, first, self.block)

    def read(self, name: str, function: str, *arguments: Any) -> int:
        return int(self.link.read(name, selectors.address(name), function, *arguments, block=self.block))

    def balance(self, name: str) -> int:
        return self.read("DevToken", "balanceOf", selectors.address(name))

    def sums(self, name: str, event: str, by: str, field: str = "amount") -> dict[Any, int]:
        """Sum of one field of an event per value of another."""
        found: dict[Any, int] = defaultdict(int)
        for entry in self.events(name, event):
            found[entry[by]] += int(entry[field])
        return found


def _final_block(link: Chain) -> int:
    """The newest block that is deep enough, once the outbox has recorded everything up to it.

    What lies deeper than this block is in our rows, and nothing above it is: only then do the two sides speak of the same moment.
    """
    for _ in range(TRIES):
        head = link.head()
        while outbox.sweep():
            pass
        if link.head() == head:
            return max(0, head - settings.CHAIN_CONFIRMATIONS + 1)
    raise ChainUnavailable("blocks come faster than they can be compared")


def _escrows(view: _View) -> list[tuple[str, int, int]]:
    settled = view.sums("CollectiveEscrow", "Settled", "jobId")
    opened = view.sums("CollectiveEscrow", "JobOpened", "jobId", "budget")
    closed = view.sums("CollectiveEscrow", "JobClosed", "jobId", "refunded")
    ours = {job_bytes(e.job_id): e for e in Escrow.objects.exclude(status__in=("opening", "failed"))}
    lines = []
    for job in sorted(set(ours) | set(opened)):
        escrow, name = ours.get(job), str(uuid.UUID(bytes=job[:16]))[:8]
        lines.append((f"job {name}: deposited", int(escrow.budget) if escrow else 0, opened.get(job, 0)))
        lines.append((f"job {name}: settled", int(escrow.spent) if escrow else 0, settled.get(job, 0)))
        lines.append((f"job {name}: refunded", int(escrow.refunded) if escrow else 0, closed.get(job, 0)))
    held = sum(int(e.budget - e.refunded) for e in ours.values()) - _pooled()
    lines.append(("held in escrow", held, view.balance("CollectiveEscrow")))
    lines.append(("moved to the pool", _pooled(), view.read("CollectiveEscrow", "pooledTotal")))
    return lines


def _pooled() -> int:
    """What the confirmed transfers to the pool moved: all that their epochs' jobs earned; sales pay into the pool themselves."""
    keys = ChainTransaction.objects.filter(key__startswith="fund:", state=ChainTransaction.State.CONFIRMED)
    numbers = [int(key.removeprefix("fund:")) for key in keys.values_list("key", flat=True)]
    epochs = SettlementEpoch.objects.filter(number__in=numbers)
    return sum(int(earned) - int(sold) for earned, sold in epochs.values_list("earned", "sold"))


def _sold() -> tuple[int, int]:
    """(what confirmed sales of models brought, of it for individuals)."""
    paid = ModelPurchase.objects.filter(status=ModelPurchase.Status.PAID).values_list(
        "price", "to_individuals"
    )
    return sum(int(price) for price, _ in paid), sum(int(part) for _, part in paid)


def _sales(view: _View) -> list[tuple[str, int, int]]:
    price, part = _sold()
    pending = ModelPurchase.objects.filter(status=ModelPurchase.Status.PAID, epoch=None)
    stated = part - sum(int(row.to_individuals) for row in pending)
    return [
        ("models sold", price, view.read("ModelSale", "soldTotal")),
        ("of it for individuals", part, view.read("ModelSale", "pooledTotal")),
        ("sold, by the epochs", stated, sum(SettlementEpoch.objects.values_list("sold", flat=True))),
    ]


def _pool(view: _View) -> list[tuple[str, int, int]]:
    """Planned payouts, plus what was claimed, minus what later pushes left out for it, against what arrived."""
    confirmed = Payout.objects.filter(transaction__state=ChainTransaction.State.CONFIRMED)
    planned: dict[str, int] = defaultdict(int)
    for holder, value in confirmed.values_list("address", "amount"):
        planned[holder] += int(value)
    for sign, event in ((1, "Claimed"), (-1, "CreditUsed")):
        for holder, value in view.sums("PayoutPool", event, "holder").items():
            planned[str(holder).lower()] += sign * value
    pool = selectors.address("PayoutPool").lower()
    received: dict[str, int] = defaultdict(int)
    for entry in view.events("DevToken", "Transfer"):
        if str(entry["from"]).lower() == pool:
            received[str(entry["to"]).lower()] += int(entry["value"])
    paid = sum(planned.values())
    differing = sum(planned.get(a, 0) != received.get(a, 0) for a in set(planned) | set(received))
    return [
        ("paid to individuals", paid, sum(received.values())),
        ("paid, by the pool's own count", paid, view.read("PayoutPool", "totalPaid")),
        ("addresses paid another amount than planned", 0, differing),
        ("left in the pool", _pooled() + _sold()[1] - paid, view.balance("PayoutPool")),
    ]


def _aggregator() -> list[tuple[str, int, int]]:
    """The visit ledger against the epochs we pulled: earned = paid + carried + held over."""
    ledger = clients.totals()
    epochs = list(SettlementEpoch.objects.defer("statement"))
    stated, paid = sum(int(e.earned) for e in epochs), sum(int(e.paid) for e in epochs)
    last = epochs[0] if epochs else None
    owed = int(last.carried + last.held_over) if last else 0
    return [
        ("stated by the aggregator", ledger["stated"], stated),
        ("stated = paid + carried + held over", stated, paid + owed),
        ("still owed", ledger["carried"] + ledger["held_over"], owed),
    ]
