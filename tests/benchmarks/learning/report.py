"""Lines, a table, a page and plots of what was run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

from tests.benchmarks.learning.data import People
from tests.benchmarks.learning.results import averages, last_line
from tests.benchmarks.learning.runs import DIFFERENCES, KEYS, cohort_for

Record = dict[str, Any]
MAIN_CASE = "adult"
"""The targets are about this set of people; other sets are reported."""
CURVES = {
    "learning-plain": ("linear", "linear-momentum", "linear-fedavg", "linear-dropout30", "mlp"),
    "learning-private": ("linear-eps8", "linear-eps3", "linear-eps1", "linear-eps8-visible"),
    "learning-tampering": ("linear", "linear-tamper5-bounded", "linear-tamper5-unbounded"),
}


def line(record: Record) -> str:
    """One finished run."""
    return (
        f"  {record['name']:28} seed {record['seed']}  accuracy {record['accuracy']:.4f}  AUC {record['auc']:.4f}  "
        f"log-loss {record['log_loss']:.4f}  {record['visits']:,} visits  {record['seconds']:.0f} s CPU"
    )


def table(records: Sequence[Record]) -> str:
    """Means and spread over seeds, as Markdown."""
    rows = [
        "| run | seeds | visits | visits a wallet, at most | accuracy | AUC | log-loss | CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in averages(records).items():
        mine = [record for record in records if record["name"] == name]
        accuracy, auc = (
            f"{figures[what]:.4f} ± {pstdev(record[what] for record in mine):.4f}"
            for what in ("accuracy", "auc")
        )
        rows.append(
            f"| {name} | {len(mine)} | {figures['visits']:,.0f} | {max(record['most_visits'] for record in mine)} | {accuracy} | {auc} | "
            f"{figures['log_loss']:.4f} | {figures['seconds']:.0f} |"
        )
    return "\n".join(rows)


def targets(records: Sequence[Record]) -> str:
    """Every key with its target on the main case, as Markdown."""
    found = last_line(records)
    rows = ["| figure | target | measured | met |", "|---|---|---|---|"]
    for key, value in found.items():
        least = KEYS[key][2] if key in KEYS else None
        most = DIFFERENCES[key][2] if key in DIFFERENCES else None
        met = value >= least if least is not None else value <= (most or 0.0)
        wanted = f"≥ {least}" if least is not None else f"≤ {most}"
        rows.append(f"| `{key}` | {wanted} | {value:.4f} | {'yes' if met else 'no'} |")
    return "\n".join(rows)


def write(records: Sequence[Record], people: People, folder: Path) -> None:
    """The plots, and the page's parts beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {f"{name}-{people.name}": runs for name, runs in CURVES.items()}
    drawn = [name for name, runs in names.items() if plot(folder / f"{name}.svg", records, runs)]
    promises = dict.fromkeys(f"* `{r['name']}`: {r['privacy']}" for r in records if r["privacy"])
    parts = [
        "# How well wallets learn: every setting",
        "",
        (
            f"Written by `make bench-learning DATA=<folder>` for `{people.name}`: {people.wallets:,} wallets with one record each, cohort "
            f"{cohort_for(people.wallets):,}, mean ± standard deviation over seeds, judged on the set's own test split. How it is run: "
            "[learning.md](../learning.md)."
        ),
        "",
        *([targets(records), ""] if people.name == MAIN_CASE else []),
        table(records),
        "",
        *promises,
        "",
        *(f"![accuracy against visits]({name}.svg)" for name in drawn),
    ]
    (folder / f"learning-{people.name}.md").write_text("\n".join(parts) + "\n", "utf-8")


def plot(path: Path, records: Sequence[Record], runs: Sequence[str]) -> bool:
    """Accuracy against visits, mean over seeds; False when none of the runs is there."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "learning", "font.size": 9}):
        figure = Figure(figsize=(7.0, 3.8), layout="constrained")
        axes = figure.subplots()
        for name in runs:
            curves = [record["curve"] for record in records if record["name"] == name and record["curve"]]
            if curves:
                points = [
                    (mean(p[0] for p in at), mean(p[1] for p in at)) for at in zip(*curves, strict=False)
                ]
                axes.plot(*zip(*points, strict=True), label=name, linewidth=1.2)
        if not axes.lines:
            return False
        axes.set(xlabel="visits", ylabel="accuracy on the test split")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(path, metadata={"Date": None, "Creator": None})
    return True
