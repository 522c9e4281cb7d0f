"""Table, page, picture and JSON of what a wallet in a tab costs."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from tests.benchmarks.wallet_tab import Figures

TAB, AGENT = "#0b6e8a", "#b4540a"
STEPS = {
    "create": "check the header",
    "advertise": "a key for the round",
    "receive_list": "check the bucket, agree on a key with each neighbour, share the seeds",
    "receive_shares": "open the neighbours' shares",
    "mask": "a mask for each neighbour over the vector",
    "receive_survivors": "check who survived",
    "receive_consistency": "check who agreed, reveal one share a neighbour",
}
PROTOTYPE_ROUNDS = {10_000: (90.0, 160.0), 100_000: (430.0, 740.0), 1_000_000: (1_100.0, 2_200.0)}
"""What the design measured with its prototype, 100 neighbours, another machine: from, to, in milliseconds."""
PROTOTYPE_NEIGHBOURS, PROTOTYPE_BATCH_MS, PROTOTYPE_KB = 100, 0.9, 29
INTRODUCTION = """# A wallet in a browser tab: what it costs

Written by `{command}`, {day}: {browser}, with nothing switched off, and the Python agent's own code beside it in the same run, on {cores} cores ({machine}) that other
work shared (load {load:.0f} when it ended). Times are by the clock around the work alone, the best of several, in milliseconds.

A *round* is one wallet's own part of all five phases with {neighbours} neighbours, the tab and the agent being members of the same bucket; up to 10,000 numbers its sum
is compared with the plain one. A *gradient* is one visit's training: an MLP 64 → h → 5 over one record, the same numbers on both sides, the answers equal within 10⁻⁶; its time is the
mean of as many as fill 20 ms, because a browser's clock ticks every tenth of a millisecond. What is not in
it: the network, and for the agent the process that a visit is walled in by ([the wallet's own page](wallet.md)).
"""


def table(figures: Figures) -> str:
    lines = ["| round, d | tab ms | agent ms | tab ÷ agent |", "|---|---|---|---|"]
    lines += [row(f"{d:,}", *pair) for d, pair in figures.rounds.items()]
    lines += ["", "| gradient, parameters | tab ms | agent ms | tab ÷ agent |", "|---|---|---|---|"]
    lines += [row(f"{count:,}", *pair) for count, pair in figures.gradients.items()]
    lines.append(row("7,114, over 32 records", *figures.batch))
    weight, packed = figures.page_bytes / 1000, figures.page_gzip_bytes / 1000
    lines += [
        "",
        f"Page weight: {figures.files} files, {weight:,.0f} kB, {packed:,.0f} kB compressed; no other request is made.",
    ]
    return "\n".join(lines)


def row(name: str, tab: float, agent: float) -> str:
    return f"| {name} | {tab:,.2f} | {agent:,.2f} | {tab / agent:.2f} |"


def compared(figures: Figures) -> list[str]:
    """Beside what the design's prototype had: no target of the issue, but what the design was decided upon."""
    lines = ["", "## Beside the prototype", ""]
    lines += [
        "The issue sets no target in numbers. The design was decided upon a prototype of 496 lines, measured on another machine:",
        "",
        "| figure | prototype | measured | no slower |",
        "|---|---|---|---|",
    ]
    for d, (least, most) in PROTOTYPE_ROUNDS.items():
        if d in figures.rounds and figures.members == PROTOTYPE_NEIGHBOURS + 1:
            found = figures.rounds[d][0]
            lines.append(
                f"| round of {d:,}, ms | {least:,.0f} to {most:,.0f} | {found:,.0f} | {yes(found <= most)} |"
            )
    lines.append(
        f"| step of 100 → 64 → 10 over 32 records, ms | {PROTOTYPE_BATCH_MS} | {figures.batch[0]:.2f} | {yes(figures.batch[0] <= PROTOTYPE_BATCH_MS)} |"
    )
    lines.append(
        f"| files, kB | {PROTOTYPE_KB} (rounds alone: no vault, no pages) | {figures.page_bytes / 1000:,.0f} |  |"
    )
    return lines


def yes(held: bool) -> str:
    return "yes" if held else "no"


def where(figures: Figures) -> list[str]:
    """The steps of the longest round, and what follows from them for a model of a tab's size."""
    largest = max(figures.rounds)
    lines = ["", f"## Where a round of {largest:,} numbers goes", "", "| step | tab ms |", "|---|---|"]
    lines += [f"| {STEPS[name]} | {spent:,.1f} |" for name, spent in figures.phases.items()]
    masking = figures.phases["mask"] / sum(figures.phases.values())
    count, d = max(figures.gradients), max(d for d in figures.rounds if d <= 100_000)
    training = figures.gradients[count][0] / figures.rounds[d][0]
    follows = (
        f"Masking is {masking:.0%} of it. One gradient of {count:,} parameters is {training:.1%} of a round of {d:,} numbers. "
        "A tab declines what has more than 131,072 numbers by name (`model_too_large`), before anything is proven or owed."
    )
    return [*lines, "", follows]


def write(figures: Figures, folder: Path, *, command: str) -> None:
    """`wallet-tab.md`, `wallet-tab.svg` and, with every figure, `wallet-tab.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "command": command,
        "day": datetime.now(UTC).strftime("%-d %B %Y"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "load": os.getloadavg()[0],
        "neighbours": figures.members - 1,
        "browser": figures.browser,
    }
    picture = ["", "![Round and training time by size](wallet-tab.svg)"]
    parts = [INTRODUCTION.format(**about), table(figures), *picture, *compared(figures), *where(figures)]
    (folder / "wallet-tab.md").write_text("\n".join(parts) + "\n", encoding="utf-8")
    kept = {**about, **asdict(figures), "figures": figures.values()}
    (folder / "wallet-tab.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    plot(folder / "wallet-tab.svg", figures)


def plot(path: Path, figures: Figures) -> None:
    drawing = Figure(figsize=(8, 3), layout="constrained")
    panels = drawing.subplots(1, 2)
    for panel, rows, title, label in (
        (panels[0], figures.rounds, f"one round, {figures.members - 1} neighbours, ms", "numbers"),
        (panels[1], figures.gradients, "one gradient, ms", "parameters"),
    ):
        for place, (name, colour) in enumerate((("tab", TAB), ("Python agent", AGENT))):
            panel.plot(
                list(rows),
                [pair[place] for pair in rows.values()],
                color=colour,
                marker="o",
                markersize=4,
                label=name,
            )
        panel.set_title(title, fontsize=10)
        panel.set_xlabel(label)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.grid(color="#d9dee3", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=9)
    with rc_context({"svg.hashsalt": "wallet tab"}):
        drawing.savefig(path, metadata={"Date": None})
