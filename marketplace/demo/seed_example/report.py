"""The end of a run: its report as JSON and as one HTML file, and the same in a few lines on screen."""

from __future__ import annotations

import json
from pathlib import Path

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe
from matplotlib.axes import Axes
from rich.console import Console

from collectives.terms.description import tokens
from marketplace.demo import plots
from marketplace.demo.seed_example.result import HOURS_ALLOWED, PROCESSORS, UNITS, VISITS, WALLETS, Result
from marketplace.demo.seed_example.size import RATE

UNIT_NAMES = {
    "wallets": "a wallet made",
    "subscriptions": "a subscription",
    "enrolment": "an enrolment in the job",
    "rounds": "a visit",
    "settlement": "a payout address settled",
}
NOTES = (
    (
        "The people are generated; they do not exist. Everything else is real: a store with keys of its own for each wallet, signatures, "
        "masks, training in the sandbox, the ledger, and the contracts on the development chain."
    ),
    (
        "Wallets live in two host processes on this machine and train together, a handful in one sandboxed worker; each one's checks, keys, "
        "masks and receipts are its own."
    ),
    (
        "The payout lot equals the rate and there is one collective here, so payouts do not hide who took part; a real site pays in lots over "
        "many collectives once a day. Tokens have no value."
    ),
)


def write(result: Result, folder: Path) -> Path:
    """Both files; the path of the HTML one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "seed-example.json").write_text(json.dumps(result.figures(), indent=1) + "\n", encoding="utf-8")
    path = folder / "seed-example.html"
    path.write_text(render_to_string("demo/seed_example.html", _context(result)), encoding="utf-8")
    return path


def print_report(result: Result, console: Console) -> None:
    for check in result.checks:
        mark = "[green]✓" if check.ok else "[red]✗"
        console.print(f"{mark} {check.name}[/]: {check.detail}", highlight=False)
    for name, ms in result.unit_ms().items():
        console.print(f"  {UNIT_NAMES[name]}: {ms:.1f} ms of CPU for everybody together", highlight=False)
    hours = sum(result.full_size_hours().values())
    console.print(
        f"  {WALLETS:,} wallets and {VISITS:,} visits at these costs: {hours:.1f} h on {PROCESSORS} processors, "
        f"{result.book.idle:.2f} of them standing by "
        f"(allowed: {HOURS_ALLOWED:.0f}); largest memory {result.book.peak_memory / 2**30:.1f} GiB",
        highlight=False,
    )


def _context(result: Result) -> dict[str, object]:
    ms, hours = result.unit_ms(), result.full_size_hours()
    phases = result.book.phases
    return {
        "result": result,
        "token": settings.TOKEN_SYMBOL,
        "notes": _notes(result),
        "style": mark_safe((settings.BASE_DIR / "static/css/report.css").read_text(encoding="utf-8")),  # noqa: S308 - our file
        "growth": mark_safe(_growth(result)),  # noqa: S308 - drawn by us
        "money": {
            name: tokens(getattr(result, name))
            for name in ("budget", "spent", "refunded", "paid", "carried", "held_over")
        },
        "rate": tokens(RATE),
        "lines": [
            (name, tokens(ledger), tokens(chain), ledger == chain) for name, ledger, chain in result.lines
        ],
        "units": [
            (UNIT_NAMES[name], ms[name], UNITS[name], hours[name], phases[name].seconds)
            for name in UNITS
            if name in ms
        ],
        "hours": sum(hours.values()),
        "allowed": HOURS_ALLOWED,
        "processors": PROCESSORS,
        "parts": sorted(
            (part, cpu, 1000 * cpu / max(1, result.visits), result.book.peak_by_part.get(part, 0))
            for part, cpu in result.book.phase("rounds").cpu.items()
        ),
    }


def _notes(result: Result) -> list[str]:
    size = result.book.size
    notes = list(NOTES)
    if size.development:
        notes.insert(
            0,
            f"Development minima: sums of {size.release_min} wallets are released. That is below the safe minimum of 100.",
        )
    if result.book.starts > 1:
        notes.append(
            f"The run was stopped and went on {result.book.starts - 1} times; costs of all its parts are added up."
        )
    return notes


def _growth(result: Result) -> str:
    """CPU of all parts against visits: a straight line when a visit costs the same at the end as at the beginning."""

    def draw(axes: Axes) -> None:
        visits, cpu = zip(*result.book.points, strict=True) if result.book.points else ((), ())
        axes.plot(visits, cpu, color="#2f80c3", linewidth=1.5)
        axes.set_xlabel("visits")
        axes.set_ylabel("CPU seconds of all parts")

    return plots.figure("CPU of the rounds against visits", draw)
