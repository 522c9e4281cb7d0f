"""The books of a small site before and after something broke, and what must hold between them. Pure: facts in, sentences out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OVER = ("released", "posted", "abandoned")


@dataclass(frozen=True, kw_only=True)
class Wallet:
    """What one wallet's own journal says, and what the chain paid to its address (base units). All jobs so far."""

    visits: int
    accepted: int
    paid: int

    def since(self, before: Wallet) -> Wallet:
        return Wallet(
            visits=self.visits - before.visits,
            accepted=self.accepted - before.accepted,
            paid=self.paid - before.paid,
        )


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of the market's ledger, base units."""

    number: int
    earned: int
    paid: int
    carried: int
    held_over: int


@dataclass(kw_only=True)
class Verdict:
    """`violations`: a sentence each. The counts are visits, but `readable`: updates of one wallet that somebody could read."""

    violations: list[str] = field(default_factory=list)
    double_paid: int = 0
    lost: int = 0
    readable: int = 0
    searched: str = ""

    def expect(self, holds: bool, sentence: str) -> None:
        if not holds:
            self.violations.append(sentence)


def judge_money(
    verdict: Verdict,
    *,
    rate: int,
    wallets: Mapping[int, Wallet],
    told: Mapping[str, Any],
    money: Mapping[str, Any],
    epochs: Sequence[Epoch],
) -> None:
    """Every wallet paid for what it proved and for nothing else; budget = spent + refunded; earned = paid + carried + held over.

    A wallet that was cut while its proof was on its way cannot know whether it arrived: it is owed at least what its journal
    counts as visits and at most what it had accepted.
    """
    for number, wallet in wallets.items():
        least, most = wallet.visits * rate, wallet.accepted * rate
        if wallet.paid > most:
            verdict.double_paid += -(-(wallet.paid - most) // rate)
            verdict.violations.append(f"wallet {number} was paid {wallet.paid} for at most {most}")
        if wallet.paid < least:
            verdict.lost += -(-(least - wallet.paid) // rate)
            verdict.violations.append(f"wallet {number} was paid {wallet.paid} of {least}")
    paid, earned = sum(wallet.paid for wallet in wallets.values()), told["earned"] * rate
    verdict.expect(paid == earned, f"the chain paid {paid} in all, the ledger says {earned} were earned")
    verdict.double_paid += max(0, (paid - earned) // rate) if not verdict.double_paid else 0
    verdict.lost += max(0, (earned - paid) // rate) if not verdict.lost else 0
    receipts = sum(row["receipts"] for row in told["rounds"])
    verdict.expect(
        receipts == told["earned"], f"{receipts} receipts in the rounds, {told['earned']} visits earned"
    )
    verdict.expect(told["reserved"] == 0, f"{told['reserved']} visits are still reserved")
    budget, spent, refunded = (int(money[name] or 0) for name in ("budget", "spent", "refunded"))
    verdict.expect(budget == spent + refunded, f"reserved {budget}, earned {spent} and refunded {refunded}")
    verdict.expect(spent == earned, f"the escrow spent {spent}, the visits earned {earned}")
    verdict.expect(bool(money["reconciled"]), "ledger and chain differ: " + str(_unequal(money["lines"])))
    for epoch in epochs:
        whole = epoch.paid + epoch.carried + epoch.held_over
        verdict.expect(
            epoch.earned <= whole, f"epoch {epoch.number}: earned {epoch.earned}, accounted for {whole}"
        )
    total = sum(epoch.earned for epoch in epochs)
    accounted = sum(epoch.paid for epoch in epochs) + (
        epochs[-1].carried + epochs[-1].held_over if epochs else 0
    )
    verdict.expect(total == accounted, f"all epochs: earned {total}, paid, carried and held over {accounted}")


def _unequal(lines: Iterable[Sequence[Any]]) -> list[str]:
    return [f"{name}: {a} / {b}" for name, a, b in lines if a != b]


def judge_life(
    verdict: Verdict, *, told: Mapping[str, Any], rounds: Iterable[Mapping[str, Any]], release_min: int
) -> None:
    """Nothing hangs, nothing is released of too few, and whatever ended otherwise than well says why."""
    verdict.expect(told["closed"], f"the job is not closed: {told['status']}, {told['reason']}")
    for row in told["rounds"]:
        over = row["status"] in ("posted", "abandoned")
        verdict.expect(over, f"round {row['number']} still is {row['status']}")
        verdict.expect(
            row["status"] != "abandoned" or bool(row["reason"]),
            f"round {row['number']} was abandoned without a reason",
        )
        few = row["status"] == "posted" and row["survivors"] < release_min
        verdict.readable += few
        verdict.expect(not few, f"round {row['number']} released the sum of {row['survivors']}")
    for row in rounds:
        verdict.expect(row["step"] in OVER, f"the aggregator's round {row['number']} still is {row['step']}")
        explained = row["step"] != "abandoned" or bool(row["reason"])
        verdict.expect(explained, f"the aggregator abandoned round {row['number']} without a reason")
        verdict.expect(
            row["step"] != "abandoned" or not row["has_sum"], f"abandoned round {row['number']} keeps a sum"
        )
    works = any(row["status"] == "posted" for row in told["rounds"])
    verdict.expect(works, "no round came into the model: nobody's work is done any more")


def judge_shown(verdict: Verdict, page: str, text: str, rows: Iterable[tuple[str, str, str]]) -> None:
    """A page of the admin (its text) names each thing and its state, and the reason where there is one. `rows`: (thing, state, reason)."""
    for thing, state, reason in rows:
        for word in (thing, state, reason[:40]):
            verdict.expect(word in text, f"the admin's page {page} does not say of {thing}: {word}")


def judge_reveals(verdict: Verdict, reveals: Iterable[Any]) -> None:
    """Of one wallet in one round either shares of its own mask or of its key were revealed, never both: both together open its update."""
    kinds: dict[tuple[bytes, int], set[str]] = defaultdict(set)
    senders: Counter[tuple[bytes, bytes]] = Counter()
    for reveal in reveals:
        senders[reveal.header, reveal.sender] += 1
        for share in reveal.shares:
            kinds[reveal.header, share.owner].add(share.word)
    both = [owner for owner, found in kinds.items() if len(found) > 1]
    verdict.readable += len(both)
    verdict.expect(not both, f"both kinds of shares of {len(both)} wallets were revealed")


def judge_sums(
    verdict: Verdict, checkpoints: Iterable[Mapping[str, Any]], plain: Mapping[int, tuple[int, str]]
) -> None:
    """Each released mean is exactly that of the updates which wallets sent. `plain`: round → (wallets, SHA-256 of their mean)."""
    for row in checkpoints:
        if row["number"] not in plain:
            continue
        wallets, digest = plain[row["number"]]
        # A wallet that was cut while it sent may not know that it counts: only equal counts can be compared.
        if wallets == row["wallets"]:
            verdict.expect(
                digest == row["aggregate_hash"],
                f"the sum of round {row['number']} is not that of its updates",
            )
