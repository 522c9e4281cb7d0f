"""A line per run, a page with tables and plots, and the last line of JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from tests.benchmarks.learning.data import People

Record = dict[str, Any]
DEFENCES = (
    ("Nothing is done", "sum", 50),
    ("The default rule", "filter", 50),
    ("The default rule in small buckets", "filter", 25),
)


def line(record: Record) -> str:
    """One finished run."""
    return (
        f"  {record['name']:62} AUC {record['auc']:.4f}  backdoor {record['backdoor']:.2f}  stood out {record['stood_out']:.1%}  "
        f"found {record['excluded']} of {record['hostile']}, wrongly {record['accused_wrongly']}  {record['seconds']:.0f} s CPU"
    )


def last_line(records: Sequence[Record]) -> dict[str, Any]:
    """Every figure of every setting, means over seeds; `wrongly_accused` of all runs together."""
    runs = {
        name: {
            what: round(mean(one[what] for one in mine), 4)
            for what in ("accuracy", "auc", "backdoor", "excluded", "hostile")
        }
        for name, mine in _by_name(records)
    }
    return {
        "runs": runs,
        "wrongly_accused": sum(one["accused_wrongly"] for one in records),
        "honest_wallets": sum(one["setting"]["wallets"] - one["hostile"] for one in records),
    }


def _by_name(records: Sequence[Record]) -> Iterable[tuple[str, list[Record]]]:
    for name in dict.fromkeys(record["name"] for record in records):
        yield name, [record for record in records if record["name"] == name]


def _of(records: Sequence[Record], rule: str, bucket: int) -> list[Record]:
    return [r for r in records if (r["setting"]["rule"], r["setting"]["bucket"]) == (rule, bucket)]


def _attack(record: Record) -> str:
    return record["name"].split("; ")[0].rsplit(", ", 1)[0]


def _share(record: Record) -> float:
    attack = record["setting"]["attack"]
    return float(attack["share"]) if attack else 0.0


def table(records: Sequence[Record], form: str) -> str:
    """Attacks down, shares across."""
    shares = sorted({_share(r) for r in records if _share(r)})
    rows = [
        "| attack | " + " | ".join(f"{share:.1%}" for share in shares) + " |",
        "|---" * (len(shares) + 1) + "|",
    ]
    for attack in dict.fromkeys(_attack(r) for r in records if _share(r)):
        cells = []
        for share in shares:
            mine = [r for r in records if _attack(r) == attack and _share(r) == share]
            cells.append(form.format(**{k: mean(r[k] for r in mine) for k in COLUMNS}) if mine else "–")
        rows.append(f"| {attack} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


COLUMNS = (
    "accuracy",
    "auc",
    "backdoor",
    "stood_out",
    "with_attacker",
    "middle",
    "hostile",
    "excluded",
    "accused_wrongly",
    "after",
)


def rules_table(records: Sequence[Record]) -> str:
    """Every rule against wallets that ignore the bound."""
    wild = "flip, of length 100"
    chosen = [r for r in records if r["setting"]["bucket"] == 50 and (not _share(r) or _attack(r) == wild)]
    shares = [0.0, 0.01, 0.02, 0.05]
    rows = [
        "| rule | " + " | ".join(f"{share:.0%}" for share in shares) + " |",
        "|---" * (len(shares) + 1) + "|",
    ]
    for rule in dict.fromkeys(r["setting"]["rule"] for r in chosen):
        cells = []
        for share in shares:
            mine = [r["auc"] for r in chosen if r["setting"]["rule"] == rule and _share(r) == share]
            cells.append(f"{mean(mine):.4f}" if mine else "–")
        rows.append(f"| `{rule}` | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def write(records: Sequence[Record], people: People, folder: Path) -> None:
    """docs/benchmarks/tampering-<set>.md and its plots."""
    folder.mkdir(parents=True, exist_ok=True)
    one = records[0]["setting"]
    wrongly, honest = (
        sum(r["accused_wrongly"] for r in records),
        sum(r["setting"]["wallets"] - r["hostile"] for r in records),
    )
    seeds = len({r["seed"] for r in records})
    parts = [
        "# Tampering wallets: every attack",
        "",
        (
            f'Written by `make bench-tampering DATA=<folder> ARGS="--plots docs/benchmarks"` for `{people.name}`: logistic regression, '
            f"{one['wallets']:,} wallets with one record each, {one['rounds']} rounds of {one['cohort']:,}, about "
            f"{one['rounds'] * one['cohort'] // one['wallets']} visits each, {seeds} seed(s). What it means: [tampering.md](../tampering.md)."
        ),
        "",
        f"Over all {len(records)} runs, {wrongly} of {honest:,} wallets that answered as agreed were excluded.",
        "",
    ]
    for title, rule, bucket in DEFENCES:
        parts += _defence(_of(records, rule, bucket), f"## {title}: `{rule}`, buckets of {bucket}", rule)
    parts += [
        "## Every rule against updates turned round, of length 100 (AUC, buckets of 50)",
        "",
        rules_table(records),
        "",
    ]
    parts += [
        f"![AUC against the share of tampering wallets]({name})" for name in _plots(records, people, folder)
    ]
    (folder / f"tampering-{people.name}.md").write_text("\n".join(parts) + "\n", "utf-8")


def _defence(mine: Sequence[Record], title: str, rule: str) -> list[str]:
    """One defence's section; nothing where it was not run."""
    if not mine:
        return []
    parts = [title, "", "AUC (and the share of people told yes once they wear a backdoor's trigger):", ""]
    parts += [table(mine, "{auc:.3f} ({backdoor:.2f})"), ""]
    for calm in (one for one in mine if not _share(one)):
        parts.append(
            f"With nobody tampering: {calm['auc']:.3f} ({calm['backdoor']:.2f}), {calm['stood_out']:.2%} of all buckets stood out."
        )
    if rule != "sum":
        parts += ["", "Buckets with a tampering wallet, and buckets that stood out:", ""]
        parts += [table(mine, "{with_attacker:.0%}, {stood_out:.0%}"), ""]
        parts += ["Found and excluded, of how many, after how many visits on average:", ""]
        parts += [table(mine, "{excluded:.0f} of {hostile:.0f}, {after:.0f}")]
    return [*parts, ""]


def _plots(records: Sequence[Record], people: People, folder: Path) -> list[str]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = []
    for _, rule, bucket in DEFENCES:
        mine = _of(records, rule, bucket)
        if not mine:
            continue
        with rc_context({"svg.hashsalt": "tampering", "font.size": 9}):
            figure = Figure(figsize=(7.0, 3.8), layout="constrained")
            axes = figure.subplots()
            for attack in dict.fromkeys(_attack(r) for r in mine if _share(r)):
                points = sorted({_share(r): r["auc"] for r in mine if _attack(r) == attack}.items())
                axes.plot(
                    [100 * share for share, _ in points],
                    [auc for _, auc in points],
                    marker="o",
                    markersize=3,
                    linewidth=1.2,
                    label=attack,
                )
            axes.set(
                xlabel="tampering wallets, per cent",
                ylabel="AUC on the test split",
                xscale="log",
                ylim=(0.0, 1.0),
            )
            axes.set_title(f"{rule}, buckets of {bucket}")
            axes.grid(alpha=0.3)
            axes.legend(frameon=False, fontsize=7)
            name = f"tampering-{rule}-{bucket}-{people.name}.svg"
            figure.savefig(folder / name, metadata={"Date": None, "Creator": None})
            names.append(name)
    return names
