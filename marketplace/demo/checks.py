"""What must hold at the end of a demo; the command's exit code is their conjunction."""

from __future__ import annotations

from typing import Any

from collectives.models import Job
from collectives.terms.description import tokens
from marketplace.demo import evidence
from marketplace.demo.datasets import Dataset
from marketplace.demo.hosts import Hosts
from marketplace.demo.plan import ROUNDS, Plan
from marketplace.demo.result import Check, DemoResult
from marketplace.demo.who_knows import Fact

NAMED = 3
"""So many wallets with a wrong amount are named; the others are counted."""
ACCURACY_BAND, AUC_BAND, REFERENCE_BAND = 0.02, 0.02, 0.01


def sums_are_exact(result: DemoResult, spies: evidence.SpyBook, job: Job) -> None:
    exact, released = spies.matching_rounds(job)
    _add(
        result,
        "Sums are exact",
        exact == released > 0,
        f"{exact} of {released} released sums equal the plain sum of the wallets' updates bit for bit.",
    )


def everybody_is_paid(result: DemoResult, facts: list[evidence.WalletFacts], hosts: Hosts, rate: int) -> None:
    """Every wallet's own journal against what the chain paid to its address.

    A wallet that left while its proof was on the way cannot know whether it arrived; its journal says so, and either is right.
    """
    books, paid = evidence.own_books(hosts, len(facts)), evidence.paid_by_address()
    wrong = []
    for fact in facts:
        own, got = books[fact.number], paid.get(fact.payout_address, 0)
        if got not in {(own.visits + more) * rate for more in range(own.unconfirmed + 1)}:
            wrong.append(f"wallet {fact.number} has {own.visits} visits and was paid {tokens(got)}")
    total, open_ = sum(own.visits for own in books), sum(own.unconfirmed for own in books)
    unsure = f" and {open_} on the way when a wallet left" if open_ else ""
    named = f" ({'; '.join(wrong[:NAMED])})" if wrong else ""
    _add(
        result,
        "Every wallet was paid for exactly its visits",
        not wrong and total > 0,
        f"{total} visits in the wallets' own journals{unsure}, {len(wrong)} wallets with another amount on chain{named}.",
    )


def tabs_took_part(result: DemoResult) -> None:
    """The draw may have left every tab out; then nothing is claimed."""
    tabs = result.tabs
    if tabs is None:
        return
    detail = (
        f"{len(tabs.rounds)} tabs of {tabs.browser} accepted {tabs.invited} rounds, took part in {tabs.visits}, earned "
        f"{tokens(tabs.earned)}; their updates are in the exact sums above."
    )
    if not tabs.invited:
        detail = f"{len(tabs.rounds)} tabs of {tabs.browser} were connected; no cohort of this run drew one of them."
    _add(result, "Wallets in browser tabs took part", tabs.visits > 0 or not tabs.invited, detail)


def conclude(result: DemoResult, data: Dataset, plan: Plan, options: Any) -> None:
    """The remaining checks, from the collected facts."""
    _rounds(result, plan)
    _model(result, data, plan)
    _money(result)
    tabs_took_part(result)
    if options.faults:
        _breakage(result)
    if options.kill_servers:
        killed = result.faults_of_servers
        _add(
            result,
            "Killed servers came back and the job went on",
            len(killed) == 2,
            f"kill -9 of {', '.join(killed) or 'nothing'}; nothing was paid twice and nothing earned was lost (above).",
        )
    _knowledge(result)


def _rounds(result: DemoResult, plan: Plan) -> None:
    posted = [r for r in result.rounds if r.state == "posted"]
    _add(
        result,
        "All rounds were completed",
        len(posted) == plan.rounds,
        f"{len(posted)} of {plan.rounds} rounds in the model, {len(result.rounds) - len(posted)} abandoned. {result.ending}",
    )
    small = [r.survivors for r in posted if r.survivors < plan.release_min]
    _add(
        result,
        "Nothing was released below the minimum cohort",
        not small,
        f"the smallest released sum holds {min((r.survivors for r in posted), default=0)} wallets; the minimum is {plan.release_min}.",
    )


def _model(result: DemoResult, data: Dataset, plan: Plan) -> None:
    central, last = result.central, (result.released() or [None])[-1]
    if central is None or last is None or last.metrics is None:
        _add(result, "The model learned", False, "no checkpoint could be judged.")
        return
    found = last.metrics
    detail = f"accuracy {found.accuracy:.3f} and AUC {found.auc:.3f}; with all records in one place {central.accuracy:.3f} and {central.auc:.3f}."
    if plan.development or plan.rounds < ROUNDS or data.generated:
        _add(
            result,
            "The model learned",
            found.auc > 0.5,
            detail + " (A short or labelled run: better than chance is asked for.)",
        )
    else:
        close = central.accuracy - found.accuracy <= ACCURACY_BAND and central.auc - found.auc <= AUC_BAND
        _add(result, "As good as with all records in one place, within 2 points", close, detail)
    if data.reference_auc is not None and not plan.development and len(data.train) == 447:
        near = abs(central.auc - data.reference_auc) <= REFERENCE_BAND
        _add(
            result,
            "The yardstick is a fair one",
            near,
            f"central AUC {central.auc:.3f}, published {data.reference_auc:.3f}.",
        )


def _money(result: DemoResult) -> None:
    money = result.money
    if money is None:
        _add(result, "Money", False, "the job was not settled.")
        return
    receipts = sum(r.receipts for r in result.rounds)
    exact = (
        money.budget == money.spent + money.refunded
        and money.spent == receipts * money.rate == money.paid + money.carried + money.held_over
    )
    _add(
        result,
        "Earned = paid + carried + held over, budget = spent + refunded",
        exact,
        f"{receipts} receipts at {tokens(money.rate)}: spent {tokens(money.spent)}, refunded {tokens(money.refunded)}, to the last unit.",
    )
    equal = sum(a == b for _, a, b in money.reconciliation)
    _add(
        result,
        "Ledger and chain agree to the last unit",
        money.reconciled,
        f"{equal} of {len(money.reconciliation)} lines are equal.",
    )


def _breakage(result: DemoResult) -> None:
    """A round that was abandoned with a killed server may have ended before its wallets came as far as their faults."""
    planned, happened = sum(f.planned for f in result.faults), sum(f.happened for f in result.faults)
    missing = {f.round for f in result.faults if f.happened != f.planned}
    abandoned = {r.number for r in result.rounds if r.state == "abandoned" and result.faults_of_servers}
    more = any(f.happened > f.planned for f in result.faults)
    rounds = ", ".join(str(number) for number in sorted(missing & abandoned))
    excused = f" Round {rounds} was abandoned before the others could." if rounds else ""
    _add(
        result,
        "What was broken on purpose broke, and rounds went on",
        not more and missing <= abandoned,
        f"{happened} of {planned} planned faults happened.{excused}",
    )
    _add(
        result,
        "Revoked wallets refused from that instant",
        result.revoked_at_once and not result.revoked_visited_again,
        "one revoked in the wallet, one on the web, both mid-job; neither was visited again.",
    )


def _knowledge(result: DemoResult) -> None:
    leaks = [f for f in result.findings if not f.allowed]
    where = "; ".join(sorted({f"{f.fact.value} in {f.domain} {f.place}" for f in leaks})[:6])
    _add(
        result,
        "Nobody saw more than they may",
        not leaks,
        where
        or f"{result.places_scanned} places searched; personal data and single updates were found nowhere.",
    )
    # A scan that finds nothing at all would prove nothing: the facts that must be somewhere must have been found there.
    found = {(f.fact, f.domain) for f in result.findings}
    expected = {(Fact.PSEUDONYM, "distributor"), (Fact.EMAIL, "market"), (Fact.PAYOUT_ADDRESS, "chain")}
    _add(
        result,
        "The search itself works",
        expected <= found,
        "pseudonyms at the distributor, e-mails at the market and payout addresses on the chain were found.",
    )


def _add(result: DemoResult, name: str, ok: bool, detail: str) -> None:
    result.checks.append(Check(name=name, ok=bool(ok), detail=detail))
