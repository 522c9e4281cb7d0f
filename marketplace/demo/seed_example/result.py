"""What a finished run must show, and what its measured unit costs say of the full size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from collectives.models import Job, Round
from collectives.training.checkpoint import weights_from_bytes
from marketplace.demo import evidence
from marketplace.demo.consumer import Judge
from marketplace.demo.hosts import HostProcess
from marketplace.demo.job_performance import job_performance
from marketplace.demo.result import Check, Metrics
from marketplace.demo.seed_example.notebook import Notebook
from marketplace.demo.seed_example.size import RATE, VISITS, WALLETS
from marketplace.jobs.models import Order
from marketplace.settlement import selectors as money
from marketplace.settlement import services as settlement

PROCESSORS = 2
BOOKS = 500
TEST_PEOPLE = 400
HOURS_ALLOWED = 8.0
UNITS = {
    "wallets": WALLETS,
    "subscriptions": WALLETS,
    "enrolment": WALLETS,
    "rounds": VISITS,
    "settlement": WALLETS,
}
"""How often each phase's unit of work is done at full size; the settlement's unit is a payout address."""


@dataclass(kw_only=True)
class Result:
    """Amounts in base units. `lines`: (name, ledger, chain)."""

    book: Notebook
    visits: int
    budget: int
    spent: int
    refunded: int
    paid: int
    carried: int
    held_over: int
    lines: list[tuple[str, int, int]]
    rounds: int
    abandoned: int
    ending: str
    recipients: int
    before: Metrics
    after: Metrics
    fewest: int = 0
    most: int = 0
    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def about_abandoned(self) -> str:
        """A sentence for rounds whose sum never came into the model; empty when there were none."""
        return (
            f"Abandoned rounds: {self.abandoned:,}; visits proven in them are paid." if self.abandoned else ""
        )

    def unit_ms(self) -> dict[str, float]:
        """CPU milliseconds of everybody together for one wallet, subscription, enrolment, visit, payout address.

        What all parts take per second while nothing happens is not in it: it belongs to the hours, however many units they hold.
        """
        done = dict.fromkeys(("wallets", "subscriptions", "enrolment"), self.book.size.wallets)
        done |= {"rounds": self.visits, "settlement": self.recipients}
        found = {}
        for name in UNITS:
            if name in self.book.phases:
                phase = self.book.phases[name]
                working = max(0.0, phase.cpu_seconds - self.book.idle * phase.seconds)
                found[name] = 1000 * working / max(1, done[name])
        return found

    def full_size_hours(self) -> dict[str, float]:
        """Hours of the full size, by phase, when each unit costs what it cost here and two processors do nothing else.

        In an hour they have two hours of CPU, less what all parts take anyway.
        """
        free = max(1e-9, PROCESSORS - self.book.idle)
        return {name: ms * UNITS[name] / 1000 / free / 3600 for name, ms in self.unit_ms().items()}

    def figures(self) -> dict[str, Any]:
        """The report as plain JSON; money as decimal strings of base units."""
        size = self.book.size
        amounts = ("budget", "spent", "refunded", "paid", "carried", "held_over")
        hours = self.full_size_hours()
        return {
            "ok": self.ok,
            "wallets": size.wallets,
            "visits": self.visits,
            "cohort": size.cohort,
            "development": size.development,
            "rounds": self.rounds,
            "rounds_abandoned": self.abandoned,
            "data": "generated",
            **{name: str(getattr(self, name)) for name in amounts},
            "rate": str(RATE),
            "recipients": self.recipients,
            "visits_of_a_wallet": [self.fewest, self.most],
            "ledger_equals_chain": all(ledger == chain for _, ledger, chain in self.lines),
            "cpu_ms_per_unit": {name: round(ms, 3) for name, ms in self.unit_ms().items()},
            "seconds": {name: round(phase.seconds, 1) for name, phase in self.book.phases.items()},
            "cpu_seconds_by_part": {
                name: {part: round(cpu, 1) for part, cpu in phase.cpu.items()}
                for name, phase in self.book.phases.items()
            },
            "idle_cpu_per_second": round(self.book.idle, 3),
            "visits_per_cpu_second": round(1000 / max(1e-9, self.unit_ms().get("rounds", 0.0)), 1),
            "peak_memory_mib": self.book.peak_memory // 2**20,
            "peak_memory_mib_by_part": {n: m // 2**20 for n, m in self.book.peak_by_part.items()},
            "full_size_hours_on_two_processors": {name: round(value, 2) for name, value in hours.items()},
            "full_size_hours": round(sum(hours.values()), 2),
            "starts": self.book.starts,
            "auc_before": round(self.before.auc, 4),
            "auc_after": round(self.after.auc, 4),
            "points": self.book.points,
            "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in self.checks],
        }


def conclude(book: Notebook, order: Order, hosts: list[HostProcess]) -> Result:
    """Collect the facts and check them."""
    job = Job.objects.get(pk=order.job_id)
    state = money.escrow_state(order.job_id)
    assert state is not None
    report, totals = settlement.reconcile(), money.money_totals()
    paid = evidence.paid_by_address()
    judge = Judge(job_performance(people=5 * TEST_PEOPLE, seed=book.seed - 1))
    first, last = job.checkpoints.first(), job.checkpoints.last()
    assert first is not None and last is not None
    rounds = Round.objects.filter(job=job)
    result = Result(
        book=book,
        visits=job.visits_earned,
        budget=state.budget,
        spent=state.spent,
        refunded=state.refunded,
        paid=totals.paid,
        carried=totals.carried,
        held_over=totals.held_over,
        lines=list(report.lines),
        rounds=rounds.filter(status="posted").count(),
        abandoned=rounds.filter(status="abandoned").count(),
        ending=f"{job.get_status_display()}: {job.reason}",
        recipients=len(paid),
        before=judge.measure(weights_from_bytes(bytes(first.weights))),
        after=judge.measure(weights_from_bytes(bytes(last.weights))),
    )
    result.checks += [
        _all_visited(result),
        _money(result),
        _reconciled(result, ok=report.ok),
        _everybody(result, paid, hosts),
        _learned(result),
    ]
    return result


def _all_visited(result: Result) -> Check:
    left = result.book.size.visits - result.visits
    made = f"{result.visits:,} of {result.book.size.visits:,} visits, {result.rounds:,} rounds in the model."
    return Check(
        name="The budget was spent down to less than one smallest cohort",
        ok=0 <= left < result.book.size.release_min,
        detail=" ".join(filter(None, (made, result.about_abandoned, result.ending))),
    )


def _money(result: Result) -> Check:
    exact = (
        result.budget == result.spent + result.refunded == result.book.size.budget
        and result.spent == result.visits * RATE == result.paid + result.carried + result.held_over
    )
    return Check(
        name="Earned = paid + carried + held over, budget = spent + refunded, to the last unit",
        ok=exact,
        detail=f"spent {result.spent}, paid {result.paid}, carried {result.carried}, held over {result.held_over}, refunded {result.refunded} base units.",
    )


def _reconciled(result: Result, *, ok: bool) -> Check:
    equal = sum(ledger == chain for _, ledger, chain in result.lines)
    return Check(
        name="Ledger and chain agree to the last unit",
        ok=ok and equal == len(result.lines) > 0,
        detail=f"{equal} of {len(result.lines)} lines are equal.",
    )


def _everybody(result: Result, paid: Counter[str], hosts: list[HostProcess]) -> Check:
    """Each wallet's own journal against what the chain paid to its address.

    A wallet that was stopped while its proof was on the way cannot know whether it arrived; its journal says so, and either is right.
    """
    wallets, total, wrong = 0, 0, 0
    each: Counter[int] = Counter()
    for book in _books(hosts):
        each[book["visits"]] += 1
        got = paid.pop(book["address"].removeprefix("0x").lower(), 0)
        right = {(book["visits"] + more) * RATE for more in range(book["unconfirmed"] + 1)}
        wallets, total, wrong = wallets + 1, total + book["visits"], wrong + (got not in right)
    strangers = sum(amount > 0 for amount in paid.values())
    result.fewest, result.most = min(each, default=0), max(each, default=0)
    return Check(
        name="Every wallet was paid for exactly the visits in its own journal",
        ok=not wrong and not strangers and total > 0,
        detail=f"{wallets:,} journals with {total:,} visits, {result.fewest} to {result.most} each; {wrong} wallets with another amount on chain, {strangers} payments to nobody's address.",
    )


def _books(hosts: list[HostProcess]) -> Iterator[dict[str, Any]]:
    for host in hosts:
        for first in range(0, host.call("status")["wallets"], BOOKS):
            yield from host.call("books", first=first, count=BOOKS, within=3600)["books"]


def _learned(result: Result) -> Check:
    return Check(
        name="The model learned",
        ok=result.after.auc > max(0.55, result.before.auc),
        detail=f"AUC {result.after.auc:.3f} on {TEST_PEOPLE} people in no wallet, {result.before.auc:.3f} before the first round.",
    )
