"""Settlement epochs as arithmetic: visits and remainders in, lots, carried and held-over amounts out. Sans-IO.

What an address earned in an epoch is paid in whole lots, so that an amount says little; the remainder is carried. When an epoch
has too few recipients or collectives, nobody is paid and everything is held over to the next. Always, per epoch and in total:

    earned + carried before + held over before = paid + carried + held over

The owed root lets anybody carry a holder's claim on chain should pushes ever stop: a Merkle tree over (address, what it is still
owed after this epoch's pushes), leaves keccak256(keccak256(abi.encode(address, amount))), sorted pairs, as OpenZeppelin verifies it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eth_hash.auto import keccak

Address = bytes
"""20 bytes."""


@dataclass(frozen=True, kw_only=True)
class Earned:
    """Visits of one payout address in one job since the last epoch. `rate` in base units."""

    address: Address
    job_id: str
    collective_id: str
    visits: int
    rate: int


@dataclass(frozen=True, kw_only=True)
class Credit:
    """One address's part of a sold model, base units: earned like a visit, but paid by the buyer and not by a job."""

    address: Address
    collective_id: str
    amount: int


@dataclass(frozen=True, kw_only=True)
class Rules:
    """`lot` in base units, 0 = pay the exact amount (development). Minima of an epoch that pays."""

    lot: int
    min_recipients: int
    min_collectives: int


@dataclass(frozen=True, kw_only=True)
class JobTotal:
    """What a job owes for an epoch. `sequence` counts its settlements from 1; `receipts_root` is 32 bytes."""

    job_id: str
    sequence: int
    visits: int
    rate: int
    receipts_root: bytes

    @property
    def amount(self) -> int:
        return self.visits * self.rate


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One epoch, closed. Amounts in base units; `payouts` and `balances` ascend by address."""

    epoch: int
    jobs: tuple[JobTotal, ...]
    payouts: tuple[tuple[Address, int], ...]
    balances: tuple[tuple[Address, int], ...] = field(repr=False)
    """What each address is still owed after this epoch: kept by the aggregator, in no document."""
    earned: int
    paid: int
    carried: int
    held_over: int
    owed_root: bytes
    sales: tuple[str, ...] = ()
    """Ids of the sales whose parts are in `earned`."""
    sold: int = 0
    """How much of `earned` came from sales."""

    def to_document(self) -> dict[str, Any]:
        """What leaves the aggregator: job totals, (address, amount), totals. No pseudonym, no visit."""
        return {
            "epoch": self.epoch,
            "jobs": [
                {
                    "job_id": job.job_id,
                    "seq": job.sequence,
                    "visits": job.visits,
                    "rate": str(job.rate),
                    "receipts_root": job.receipts_root.hex(),
                }
                for job in self.jobs
            ],
            "payouts": [["0x" + address.hex(), str(amount)] for address, amount in self.payouts],
            "earned": str(self.earned),
            "paid": str(self.paid),
            "carried": str(self.carried),
            "held_over": str(self.held_over),
            "owed_root": self.owed_root.hex(),
            "sales": list(self.sales),
            "sold": str(self.sold),
        }


def close_epoch(
    *,
    epoch: int,
    earned: Iterable[Earned],
    jobs: Iterable[JobTotal],
    carried: Mapping[Address, int],
    rules: Rules,
    leaving: frozenset[Address] = frozenset(),
    parts: Iterable[Credit] = (),
) -> Statement:
    """Close one epoch.

    Args:
        earned: per address and job, since the last epoch; read once, the same address may come again.
        jobs: the same visits summed per job, for the escrow.
        carried: what each address is owed from before (carried and held over alike).
        leaving: addresses whose subscription ended: their remainder is paid too, lot or not.
        parts: of sold models; they mix with visits and are paid like them.

    Raises:
        ValueError: the jobs' totals and the addresses' visits are not the same amount.
    """
    totals, bonuses = tuple(jobs), list(parts)
    due: dict[Address, int] = defaultdict(int, carried)
    collectives = {part.collective_id for part in bonuses}
    amount = 0
    for e in earned:
        amount += e.visits * e.rate
        due[e.address] += e.visits * e.rate
        collectives.add(e.collective_id)
    if amount != sum(job.amount for job in totals):
        raise ValueError("what addresses earned is not what the jobs owe")
    sold = sum(part.amount for part in bonuses)
    for part in bonuses:
        due[part.address] += part.amount
    payable = {a: _whole_lots(d, rules.lot, a in leaving) for a, d in due.items()}
    payable = {a: p for a, p in payable.items() if p > 0}
    enough = len(payable) >= rules.min_recipients and len(collectives) >= rules.min_collectives
    if not enough:
        held = sum(payable.values())
        payable = {}
    else:
        held = 0
    paid = sum(payable.values())
    balances = {a: d - payable.get(a, 0) for a, d in due.items() if d > payable.get(a, 0)}
    return Statement(
        epoch=epoch,
        jobs=totals,
        payouts=tuple(sorted(payable.items())),
        balances=tuple(sorted(balances.items())),
        earned=amount + sold,
        sold=sold,
        paid=paid,
        carried=sum(balances.values()) - held,
        held_over=held,
        owed_root=owed_root(balances),
    )


def split(amount: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Whole base units in proportion to weights, summing to exactly `amount`; what rounding leaves goes one by one, by name.

    Raises:
        ValueError: nobody has a weight.
    """
    total = sum(weights.values())
    if total <= 0 or min(weights.values()) < 0:
        raise ValueError("there is nobody to split among")
    parts = {name: amount * weight // total for name, weight in sorted(weights.items())}
    rest = amount - sum(parts.values())
    for name in [name for name in parts if weights[name]][:rest]:
        parts[name] += 1
    return parts


def _whole_lots(due: int, lot: int, everything: bool) -> int:
    return due if lot == 0 or everything else due - due % lot


def claim_leaf(address: Address, amount: int) -> bytes:
    """The leaf of one claim, 32 bytes."""
    return bytes(keccak(keccak(bytes(12) + address + amount.to_bytes(32, "big"))))


def owed_root(amounts: Mapping[Address, int]) -> bytes:
    """32 bytes; zeros for nobody."""
    level = sorted(claim_leaf(address, amount) for address, amount in amounts.items())
    if not level:
        return bytes(32)
    while len(level) > 1:
        level = [
            _pair(level[i], level[i + 1]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)
        ]
    return level[0]


def claim_proof(amounts: Mapping[Address, int], address: Address) -> list[bytes]:
    """Siblings from the leaf upwards.

    Raises:
        KeyError: the address has no claim.
    """
    level = sorted(claim_leaf(a, amount) for a, amount in amounts.items())
    index = level.index(claim_leaf(address, amounts[address]))
    path: list[bytes] = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level = [
            _pair(level[i], level[i + 1]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)
        ]
        index //= 2
    return path


def receipts_root(receipts: Iterable[bytes]) -> bytes:
    """Root over receipt hashes (32 bytes each), order-free: what an auditor compares."""
    return receipts_root_of_sorted(sorted(receipts))


def receipts_root_of_sorted(receipts: Iterable[bytes]) -> bytes:
    """The same over hashes that ascend already, 32 bytes; holds one node per level, however many there are.

    A node without a neighbour rises unchanged, which is the tree of RFC 6962 section 2.1: full subtrees from the left, joined from the right.
    """
    full: list[tuple[int, bytes]] = []
    for receipt in receipts:
        node, height = receipt, 0
        while full and full[-1][0] == height:
            node = _pair(full.pop()[1], node)
            height += 1
        full.append((height, node))
    if not full:
        return bytes(32)
    root = full.pop()[1]
    while full:
        root = _pair(full.pop()[1], root)
    return root


def _pair(a: bytes, b: bytes) -> bytes:
    return bytes(keccak(a + b if a < b else b + a))
