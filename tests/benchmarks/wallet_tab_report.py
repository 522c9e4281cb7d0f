"""Table, page and picture of what a wallet in a tab costs."""

from __future__ import annotations

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
    "receive_list": "check the bucket, agree on 100 keys, share the seeds",
    "receive_shares": "open 100 shares",
    "mask": "100 masks over the vector",
    "receive_survivors": "check who survived",
    "receive_consistency": "check who agreed, reveal one share a peer",
}
INTRODUCTION = """# A wallet in a browser tab: what it costs

Written by `make bench-wallet-tab`. {browser}, with nothing switched off, and the Python agent's own code beside it in the same run; times by the clock around the
work alone, the best of several, in milliseconds, on a two-core machine that other work shared.

A *round* is one wallet's own part of all five phases with 100 neighbours, the tab and the agent being members of the same bucket; up to 10,000 numbers its sum
is compared with the plain one. A *gradient* is one visit's training: an MLP 64 → h → 5 over one record, the same numbers on both sides, the answers equal within 10⁻⁶. What is not in
it: the network, and for the agent the process that a visit is walled in by ([the wallet's own page](wallet.md)).
"""
BEYOND = """
## What follows

* A tab takes at most 131,072 numbers a visit and declines larger models by name (`model_too_large`), before anything is proven or owed: at a million numbers a round of
  100 neighbours takes the seconds above, and several such rounds at once would keep each other past their phases.
* Masking dominates: it is AES-128-CTR in the browser's own code, and the additions in this wallet's. Both run in workers; the page stays free.
* Training never dominates at these sizes.
"""


def table(figures: Figures) -> str:
    lines = ["| round, d | tab ms | agent ms | tab ÷ agent |", "|---|---|---|---|"]
    lines += [row(d, *pair) for d, pair in figures.rounds.items()]
    lines += ["", "| gradient, parameters | tab ms | agent ms | tab ÷ agent |", "|---|---|---|---|"]
    lines += [row(count, *pair) for count, pair in figures.gradients.items()]
    weight, packed = figures.page_bytes / 1000, figures.page_gzip_bytes / 1000
    lines += [
        "",
        f"Page weight: {figures.files} files, {weight:,.0f} kB, {packed:,.0f} kB compressed; no other request is made.",
    ]
    return "\n".join(lines)


def row(size: int, tab: float, agent: float) -> str:
    return f"| {size:,} | {tab:,.2f} | {agent:,.2f} | {tab / agent:.2f} |"


def write(figures: Figures, folder: Path) -> None:
    """`wallet-tab.md` and `wallet-tab.svg`."""
    largest = max(figures.rounds)
    steps = ["", f"## Where a round of {largest:,} numbers goes", "", "| step | tab ms |", "|---|---|"]
    steps += [f"| {STEPS[name]} | {spent:,.1f} |" for name, spent in figures.phases.items()]
    picture = ["", "![Round and training time by size](wallet-tab.svg)"]
    parts = [INTRODUCTION.format(browser=figures.browser), table(figures), *picture, *steps, BEYOND.rstrip()]
    (folder / "wallet-tab.md").write_text("\n".join(parts) + "\n", encoding="utf-8")
    plot(folder / "wallet-tab.svg", figures)


def plot(path: Path, figures: Figures) -> None:
    drawing = Figure(figsize=(8, 3), layout="constrained")
    panels = drawing.subplots(1, 2)
    for panel, rows, title, label in (
        (panels[0], figures.rounds, "one round, 100 neighbours, ms", "numbers"),
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
