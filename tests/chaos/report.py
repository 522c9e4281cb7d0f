"""docs/chaos.md and the last line of `make chaos`, from what happened."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.chaos.books import Verdict
from tests.chaos.outcome import Fault, Outcome

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "chaos.md"

_HEAD = """# Broken on purpose

Written by `make chaos`; do not edit. The command starts a small site on the production profile (PostgreSQL with a database and a login per
trust domain, Redis with a user per role, every role in processes of its own, a chain that may forget its latest blocks, twelve real wallets) on a
small disk and a clock of its own, and breaks it while jobs run. Each case is one job. A fault counts as survived when, after its
case, all of this holds (what the suite found is told in [adr/0077-what-chaos-found.md](adr/0077-what-chaos-found.md), why it is built so in
[adr/0062-broken-on-purpose.md](adr/0062-broken-on-purpose.md)):

* **no update readable alone**: every released sum holds at least the minimum cohort and is exactly the sum of what wallets sent; of no wallet both
  kinds of shares were revealed (read from the recorded line with the aggregator's own key); no update lies in clear in any table, database
  file, write-ahead log, broker file, spool or log (searched after each case);
* **earned = paid + carried + held over**, per wallet against its own journal and what the chain itself says it paid, per epoch, and in total;
* **reserved = earned + refunded**: the escrow's budget is spent and refunded to the last unit, nothing stays reserved, ledger and chain agree;
* **nothing is stuck**: every round is over, and the job is closed, refunded and paid within twice the time its rounds' phases may take and some minutes for the chain;
* **work goes on**: at least one round came into the model, which a part that is up and broken for good would not let happen;
* **every state is explained in the admin**: its pages answer and show the state and reason of the job, of every step it took, of every round and of the
  latest transactions; whatever ended early says why.
"""


def save(outcomes: Sequence[Outcome], path: Path) -> None:
    path.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> list[Outcome]:
    """What an earlier run kept; nothing where there is no such file."""
    if not path.exists():
        return []
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [
        Outcome(
            **row
            | {"faults": [Fault(**fault) for fault in row["faults"]], "verdict": Verdict(**row["verdict"])}
        )
        for row in rows
    ]


def line_of(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """The keys of the command's last line."""
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    return {
        "faults_tried": len(faults),
        "faults_survived": sum(bool(fault.survived) for fault in faults),
        "double_paid": sum(outcome.verdict.double_paid for outcome in outcomes),
        "lost": sum(outcome.verdict.lost for outcome in outcomes),
        "readable_updates": sum(outcome.verdict.readable for outcome in outcomes),
    }


def write(outcomes: Sequence[Outcome], names: Sequence[str], path: Path = PAGE) -> None:
    """The page: what was broken, what became of it, and which of the suite's cases (`names`) were not run."""
    found = line_of(outcomes)
    lines = [_HEAD, "## Result", "", "```json", json.dumps(found), "```", ""]
    done = {outcome.name for outcome in outcomes}
    if left := [name for name in names if name not in done]:
        lines += [
            f"**Not whole: {len(names) - len(left)} of {len(names)} cases were run.** Not run: {', '.join(left)}.",
            "",
        ]
    lines += ["## Cases", ""]
    lines += ["| case | broken | rounds | searched | time | verdict |", "|---|---|---|---|---|---|"]
    for outcome in outcomes:
        verdict = outcome.not_possible and f"not possible here: {outcome.not_possible}"
        verdict = verdict or "; ".join(outcome.verdict.violations) or "the books are right"
        rounds = outcome.rounds.rstrip("; ")
        count = f"{len(outcome.faults)}" + (
            f" ({len(outcome.missed)} could not be placed)" if outcome.missed else ""
        )
        lines.append(
            f"| {outcome.name} | {count} | {rounds} | {outcome.verdict.searched} | {outcome.seconds:.0f} s | {verdict} |"
        )
    for outcome in outcomes:
        lines += ["", f"### {outcome.name}", "", " ".join(outcome.sentence.split()), ""]
        lines += [
            f"* {fault.name}: {'survived' if fault.survived else '**not survived**'}"
            for fault in outcome.faults
        ]
        lines += [f"* could not be placed: {name}" for name in outcome.missed]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
