"""The end of a demo run: the checks, the report on screen and as one HTML file."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe
from rich.console import Console
from rich.table import Table

from collectives.terms.description import tokens
from marketplace.demo import plots
from marketplace.demo.result import DemoResult
from marketplace.demo.who_knows import ALLOWED, DOMAINS, Fact


def knowledge_table(result: DemoResult) -> list[dict[str, Any]]:
    """One row per fact, one cell per domain: how many wallets' facts were found there and whether they may be."""
    rows = []
    for fact in Fact:
        cells = []
        for domain in DOMAINS:
            here = [f for f in result.findings if f.fact is fact and f.domain == domain]
            leaked = [f for f in here if not f.allowed]
            cells.append(
                {
                    "domain": domain,
                    "owners": len(frozenset().union(*(f.owners for f in here))),
                    "leak": bool(leaked),
                    "may": domain in ALLOWED.domains_of(fact),
                    "where": ", ".join(sorted({f.place for f in leaked})),
                }
            )
        rows.append({"fact": fact.value, "cells": cells})
    return rows


def write_html(result: DemoResult, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    money = result.money
    context = {
        "result": result,
        "token": settings.TOKEN_SYMBOL,
        "style": mark_safe((settings.BASE_DIR / "static/css/report.css").read_text(encoding="utf-8")),  # noqa: S308 - our file
        "metric_plot": mark_safe(plots.metric_per_round(result)),  # noqa: S308 - drawn by us
        "cohort_plot": mark_safe(plots.cohort_per_round(result)),  # noqa: S308 - drawn by us
        "knowledge": knowledge_table(result),
        "domains": DOMAINS,
        "money": money
        and {
            name: tokens(getattr(money, name))
            for name in ("budget", "refunded", "paid", "carried", "held_over")
        },
        "tabs": _tabs(result),
        "rate": money and tokens(money.rate),
        "notes": result.notes,
        "lines": money and [(line, tokens(a), tokens(b), a == b) for line, a, b in money.reconciliation],
    }
    path.write_text(render_to_string("demo/report.html", context), encoding="utf-8")


def _tabs(result: DemoResult) -> dict[str, Any] | None:
    tabs = result.tabs
    if tabs is None:
        return None
    return {
        "browser": tabs.browser,
        "earned": tokens(tabs.earned),
        "rows": [
            (number, ", ".join(map(str, sorted(rounds)))) for number, rounds in enumerate(tabs.rounds, 1)
        ],
        "picture": base64.b64encode(tabs.picture).decode(),
    }


def print_report(result: DemoResult, console: Console) -> None:
    console.rule(f"[bold]{result.title}")
    console.print(_rounds_table(result))
    console.print(_knowledge_table(result))
    if result.money:
        money = result.money
        console.print(
            f"Paid {tokens(money.paid)} {settings.TOKEN_SYMBOL} for {money.visits_paid} visits at {tokens(money.rate)}; "
            f"carried {tokens(money.carried)}, held over {tokens(money.held_over)}; "
            f"{tokens(money.refunded)} of {tokens(money.budget)} refunded to the consumer."
        )
    for note in result.notes:
        console.print(f"[dim]· {note}")
    for check in result.checks:
        mark = "[green]✓" if check.ok else "[bold red]✗"
        console.print(f"{mark}[/] {check.name}: {check.detail}", highlight=False)
    verdict = (
        "[bold green]Everything held." if result.ok else "[bold red]Something did not hold; see the ✗ above."
    )
    console.print(verdict)


def _rounds_table(result: DemoResult) -> Table:
    table = Table(box=None, header_style="bold")
    for heading in ("round", "asked", "joined", "in the sum", "dropped out", "accuracy", "AUC", ""):
        table.add_column(heading, justify="left" if not heading else "right")
    for r in result.rounds:
        shown = (f"{r.metrics.accuracy:.3f}", f"{r.metrics.auc:.3f}") if r.metrics else ("–", "–")
        dropped = r.delivered - r.survivors
        note = r.reason if r.state == "abandoned" else ""
        table.add_row(
            str(r.number), str(r.delivered), str(r.joined), str(r.survivors), str(dropped), *shown, note
        )
    if result.central:
        central = result.central
        table.add_row(
            "central",
            "",
            "",
            "",
            "",
            f"{central.accuracy:.3f}",
            f"{central.auc:.3f}",
            "all data in one place",
        )
    return table


def _knowledge_table(result: DemoResult) -> Table:
    table = Table(
        title="What each trust domain saw (wallets whose fact was found there)",
        box=None,
        title_justify="left",
    )
    table.add_column("")
    for domain in DOMAINS:
        table.add_column(domain, justify="right")
    for row in knowledge_table(result):
        cells = []
        for cell in row["cells"]:
            if cell["leak"]:
                cells.append(f"[bold red]LEAK {cell['owners']}")
            elif cell["owners"]:
                cells.append(f"{cell['owners']}")
            else:
                cells.append("[dim]·" if cell["may"] else "[dim]none")
        table.add_row(row["fact"], *cells)
    return table
