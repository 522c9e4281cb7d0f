"""Table, page and picture of what a wallet costs its holder's machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

BEGIN, END = "<!-- figures: written by `make bench-wallet` -->", "<!-- end of figures -->"
PARTS = (("worker", "#0b6e8a"), ("parent", "#b4540a"), ("agent", "#5b7f2b"))
"""Who works for a visit, and in which colour."""


def table(figures: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    bounds, running = figures["bounds"], figures["agent"]
    lines = ["| per visit, ms | worker | parent | agent | CPU in all | bound | by the clock |"]
    lines.append("|---|---|---|---|---|---|---|")
    for kind in ("forked", "lasting"):
        part = figures["visits"][kind]
        cells = [*(part[f"{name}_ms"] for name, _ in PARTS), f"**{part['cpu_ms']}**"]
        cells += [f"{bounds[f'{kind}_cpu_ms']:g}", part["wall_ms"]]
        lines.append(f"| {kind} | {' | '.join(map(str, cells))} |")
    rows = {
        "`--help`, from exec to end": _took(running, "help"),
        "`run`, from exec to connected, its torch parent included": _took(running, "connected"),
        "torch parent and first update, from nothing": (
            f"{figures['visits']['first_update_from_nothing_ms']} ms by the clock"
        ),
        "idle memory, agent": f"{running['idle_agent_mib']} MiB",
        "idle memory, its torch parent": f"{running['idle_torch_parent_mib']} MiB",
        "idle CPU, agent": f"{running['idle_cpu_ms_per_s']} ms per second",
    }
    lines += ["", "| agent | |", "|---|---|", *(f"| {label} | {value} |" for label, value in rows.items())]
    return "\n".join(lines)


def _took(running: Mapping[str, Any], what: str) -> str:
    return f"{running[f'{what}_cpu_ms']} ms CPU, {running[f'{what}_ms']} ms by the clock"


def section(figures: Mapping[str, Any]) -> str:
    """What stands between the marks of the page: how it was measured, the table, the picture."""
    machine, began, visits = figures["machine"], figures["began"], figures["visits"]["visits"]
    where = f"{machine['cpus']} CPUs ({machine['processor']}), Linux {machine['kernel']}, Python {machine['python']}"
    kept = "Both bounds are kept." if figures["within_bounds"] else "**A bound is broken.**"
    said = f"Measured on {began['day']}: {visits} visits of each kind and one agent, {where}; load {began['load']:g} when the run began. {kept}"
    picture = "![CPU of a visit, by who works for it](wallet.svg)"
    return "\n\n".join([said, table(figures), picture])


def write(folder: Path, figures: Mapping[str, Any]) -> None:
    """`wallet.json`, `wallet.svg`, and the figures of `wallet.md` between its marks; what else stands there stays.

    Raises:
        ValueError: the page has no marks.
    """
    page = folder / "wallet.md"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{page.name} has no place for figures: {BEGIN} … {END}")
    page.write_text(f"{before}{BEGIN}\n\n{section(figures)}\n\n{END}{after}", encoding="utf-8")
    (folder / "wallet.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    plot(folder / "wallet.svg", figures)


def plot(path: Path, figures: Mapping[str, Any]) -> None:
    """One bar for each kind of worker, made of those who work for a visit; a line at the bound."""
    drawing = Figure(figsize=(8, 2.2), layout="constrained")
    panel = drawing.subplots()
    for place, kind in enumerate(("lasting", "forked")):
        left = 0.0
        for name, colour in PARTS:
            value = figures["visits"][kind][f"{name}_ms"]
            panel.barh(place, value, left=left, height=0.55, color=colour, label=name if place else None)
            left += value
        bound = figures["bounds"][f"{kind}_cpu_ms"]
        panel.vlines(bound, place - 0.4, place + 0.4, color="#a3281d", label="bound" if place else None)
    panel.set_yticks([0, 1], ["lasting", "forked"])
    panel.set_xlabel("CPU of one visit, ms")
    panel.set_xlim(left=0)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=8, frameon=False, loc="lower right")
    with rc_context({"svg.hashsalt": "wallet"}):
        drawing.savefig(path, metadata={"Date": None})
