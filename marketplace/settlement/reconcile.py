"""Ledger against chain, both ways, to the last unit. A difference stops new jobs until somebody has looked."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass

from marketplace.settlement import clients, selectors
from marketplace.settlement.chain import Chain, chain, job_bytes
from marketplace.settlement.models import ChainTransaction, Escrow, Payout, Reconciliation, SettlementEpoch


@dataclass(frozen=True, kw_only=True)
class ReconciliationReport:
    """`lines`: (name, figure in our ledger, figure on chain), base units."""

    ok: bool
    lines: tuple[tuple[str, int, int], ...]

    def differences(self) -> list[tuple[str, int, int]]:
        return [line for line in self.lines if line[1] != line[2]]


def reconcile() -> ReconciliationReport:
    """Compare now and keep the result.

    Raises:
        ChainUnavailable: chain or aggregator does not answer; nothing is concluded.
    """
    link = chain()
    lines = [*_escrows(link), *_pool(link), *_aggregator()]
    report = ReconciliationReport(ok=all(a == b for _, a, b in lines), lines=tuple(lines))
    Reconciliation.objects.create(ok=report.ok, lines=[[name, str(a), str(b)] for name, a, b in lines])
    return report


def _escrows(link: Chain) -> list[tuple[str, int, int]]:
    address, block = selectors.place("CollectiveEscrow")
    settled: dict[bytes, int] = defaultdict(int)
    for event in link.events("CollectiveEscrow", address, "Settled", block):
        settled[bytes(event["jobId"])] += int(event["amount"])
    opened = {
        bytes(e["jobId"]): int(e["budget"])
        for e in link.events("CollectiveEscrow", address, "JobOpened", block)
    }
    closed = {
        bytes(e["jobId"]): int(e["refunded"])
        for e in link.events("CollectiveEscrow", address, "JobClosed", block)
    }
    ours = {job_bytes(e.job_id): e for e in Escrow.objects.exclude(status__in=("opening", "failed"))}
    lines = []
    for job in sorted(set(ours) | set(opened)):
        escrow, name = ours.get(job), str(uuid.UUID(bytes=job[:16]))[:8]
        lines.append((f"job {name}: deposited", int(escrow.budget) if escrow else 0, opened.get(job, 0)))
        lines.append((f"job {name}: settled", int(escrow.spent) if escrow else 0, settled.get(job, 0)))
        lines.append((f"job {name}: refunded", int(escrow.refunded) if escrow else 0, closed.get(job, 0)))
    held = sum(int(e.budget - e.spent - e.refunded) for e in ours.values())
    lines.append(("held in escrow", held, _balance(link, address)))
    return lines


def _pool(link: Chain) -> list[tuple[str, int, int]]:
    address, block = selectors.place("PayoutPool")
    confirmed = Payout.objects.filter(transaction__state=ChainTransaction.State.CONFIRMED)
    by_address: dict[str, int] = defaultdict(int)
    for holder, value in confirmed.values_list("address", "amount"):
        by_address[holder] += value
    paid = sum(by_address.values())
    received: dict[str, int] = defaultdict(int)
    token, _ = selectors.place("DevToken")
    for event in link.events("DevToken", token, "Transfer", block):
        if str(event["from"]).lower() == address.lower():
            received[str(event["to"]).lower()] += int(event["value"])
    differing = sum(by_address.get(a, 0) != received.get(a, 0) for a in set(by_address) | set(received))
    settled = sum(int(e.spent) for e in Escrow.objects.all())
    return [
        ("paid to individuals", paid, sum(received.values())),
        ("paid, by the pool's own count", paid, int(link.read("PayoutPool", address, "totalPaid"))),
        ("addresses paid another amount than planned", 0, differing),
        ("left in the pool", settled - paid, _balance(link, address)),
    ]


def _aggregator() -> list[tuple[str, int, int]]:
    """The visit ledger against the epochs we pulled: earned = paid + carried + held over."""
    ledger = clients.totals()
    epochs = list(SettlementEpoch.objects.all())
    stated, paid = sum(int(e.earned) for e in epochs), sum(int(e.paid) for e in epochs)
    last = epochs[0] if epochs else None
    owed = int(last.carried + last.held_over) if last else 0
    return [
        ("stated by the aggregator", ledger["stated"], stated),
        ("stated = paid + carried + held over", stated, paid + owed),
        ("still owed", ledger["carried"] + ledger["held_over"], owed),
    ]


def _balance(link: Chain, address: str) -> int:
    return int(link.read("DevToken", selectors.address("DevToken"), "balanceOf", address))
