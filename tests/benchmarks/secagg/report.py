"""Tables and plots of the figures: `docs/benchmarks/secagg.md` and three pictures beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from tests.benchmarks.secagg.figures import AT_MOST, KEYS, TARGETS, Figures, Plan

AGGREGATOR, WALLET = "#0b6e8a", "#b4540a"
WORDS = {
    "server_cpu_ratio_n100_d10k": "server CPU, n=100 d=10k, 10 % dropout, k=40 t=11: Flower ÷ ours",
    "server_cpu_ratio_n50_d1m": "server CPU, n=50 d=1M, 10 % dropout, k=49 t=38: Flower ÷ ours",
    "client_cpu_ratio_n100_d10k": "client CPU, n=100 d=10k: Flower ÷ ours",
    "client_cpu_ratio_n50_d1m": "client CPU, n=50 d=1M: Flower ÷ ours",
    "upload_ratio_uint32": "upload, ring of 32 bits: Flower ÷ ours (the worse of both settings)",
    "upload_ratio_uint16": "upload, ring of 16 bits, n=50 d=1M: Flower ÷ ours",
    "memory_vectors": "aggregator's peak memory of one bucket, in vectors of d",
    "mask_over_ceiling": "mask expansion ÷ AES-128-CTR alone",
    "unmask_n1000_d1m_cpu_s": "unmasking n=1000 d=1M, 10 % dropout, CPU seconds",
    "round_n1000_d5k_cpu_s": "aggregator, whole round n=1000 d=5k with all signature checks, CPU seconds (the least of five)",
}


def number(value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def met(key: str, value: float | None) -> str:
    if value is None:
        return ""
    return "yes" if (value <= TARGETS[key] if key in AT_MOST else value >= TARGETS[key]) else "no"


def table(figures: Figures) -> list[str]:
    lines = ["| figure | target | measured | met |", "|---|---|---|---|"]
    for key in KEYS:
        sign = "≤" if key in AT_MOST else "≥"
        value = figures.values[key]
        lines.append(f"| {WORDS[key]} | {sign} {TARGETS[key]} | {number(value)} | {met(key, value)} |")
    return lines


INTRODUCTION = """# Secure aggregation: what it costs

Written by `make bench-secagg` (after `make bench-peers`, which makes the environment of the comparison). CPU is process time of one
party, parsing, signatures and proofs included; every sum is compared with the plain one to the last bit. Figures are of a two-core
machine that other work shared, so absolute times vary by half; ratios are of one run.
"""
PEER = """
## Against Flower's SecAgg+ (flwr 1.42)

Its server workflow and client mod run as they are, in a process of their own, on the same n, d, dropout, degree and threshold. In
its favour: its messages are handed over in memory, neither encoded nor parsed on the clock, and carry no signatures; its upload
counts payloads without framing. The threshold below one half in the first setting is its custom, not ours: it is for this
comparison only, and no header that our agents and servers read can hold it (`tests/benchmarks/secagg/semi_honest.py`). Wallets verify
the signatures and log proofs of 8 neighbours they pick, as agents do.

| setting | | server CPU s | client CPU ms | upload kB (uint32 · uint16) |
|---|---|---|---|---|
"""


def document(figures: Figures, plan: Plan) -> str:
    parts = [INTRODUCTION, *table(figures), PEER.rstrip(), *comparison(figures), *layout(figures, plan)]
    return "\n".join([*parts, *growths(figures, plan)]).rstrip() + "\n"


def comparison(figures: Figures) -> list[str]:
    lines = []
    for row in figures.compared:
        s, theirs = row["setting"], row["peer"]
        name = f"n={s.n} d={s.d:,} lost={s.lost} k={s.k} t={s.t}"
        uploads = f"{row['upload'] / 1000:,.1f} · {row['upload16'] / 1000:,.1f}"
        lines.append(f"| {name} | ours | {_times(row['server_cpu'], row['client_cpu'])} | {uploads} |")
        if theirs is not None:
            times = _times(theirs.server_cpu, theirs.client_cpu)
            lines.append(f"| | Flower | {times} | {theirs.upload / 1000:,.1f} |")
    return lines


def _times(server: float, client: float) -> str:
    return f"{server:.3f} | {client * 1000:.1f}"


def layout(figures: Figures, plan: Plan) -> list[str]:
    many, unmask = plan.many, figures.unmask
    phases = " · ".join(
        f"{name} {1000 * cpu:.0f}" for name, cpu in figures.rounds.items() if name != "wallet"
    )
    one, two = unmask["wall_one_thread"], unmask["wall_two_threads"]
    speed = figures.ceiling_bytes_per_second / 1e9
    masks = speed / (figures.values["mask_over_ceiling"] or 1)
    memory = ", ".join(f"{found:.2f} vectors at n={n} d={d:,}" for n, d, found in figures.memory)
    return [
        "",
        "## The production layout: buckets of 50, complete, t = 38",
        "",
        f"* n={many.n} d={many.d:,}: aggregator's CPU by phase in ms: {phases}. One wallet: {1000 * figures.rounds['wallet']:.1f} ms.",
        f"  The same round took it {', '.join(f'{cpu:.2f}' for cpu in figures.rounds_cpu)} s, for others use the machine; the least is told.",
        f"* Unmasking n={plan.unmask.n} d={plan.unmask.d:,}: {unmask['cpu']:.2f} s CPU; by the clock {one:.2f} s on one thread and {two:.2f} s on",
        f"  two, {one / two:.2f} times faster (up to 2 where a core is idle).",
        f"* AES-128-CTR alone makes {speed:.1f} GB/s here; masks are made and added at {masks:.1f} GB/s.",
        f"* Peak memory of the aggregator while inputs come and masks go, one bucket: {memory}.",
        "",
    ]


def growths(figures: Figures, plan: Plan) -> list[str]:
    return [
        "## Growth",
        "",
        "![CPU by wallets](secagg-n.svg)",
        "![CPU by vector length](secagg-d.svg)",
        "![CPU by dropout](secagg-dropout.svg)",
        "",
        *growth("wallets (d=5k, 10 % lost)", figures.by_n),
        *growth(f"d (n={plan.grow_d_n}, 10 % lost)", figures.by_d),
        *growth(f"per cent lost (n=100, d={plan.grow_lost_d:,}, t = 26)", figures.by_lost),
    ]


def growth(name: str, rows: Sequence[tuple[int, float, float]]) -> list[str]:
    lines = [f"| {name} | aggregator s | wallet ms |", "|---|---|---|"]
    return [*lines, *(f"| {x:,} | {server:.3f} | {1000 * client:.1f} |" for x, server, client in rows), ""]


def plot(path: Path, rows: Sequence[tuple[int, float, float]], label: str, *, log: bool) -> None:
    """Two panels over one axis: what the aggregator uses, what a wallet uses."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    panels = figure.subplots(1, 2)
    xs = [x for x, _, _ in rows]
    series = (
        (panels[0], [s for _, s, _ in rows], AGGREGATOR, "aggregator, CPU seconds"),
        (panels[1], [1000 * c for _, _, c in rows], WALLET, "one wallet, CPU milliseconds"),
    )
    for panel, ys, colour, title in series:
        panel.plot(xs, ys, color=colour, marker="o", markersize=4)
        panel.set_title(title, fontsize=10)
        panel.set_xlabel(label)
        panel.grid(color="#d9dee3", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        if log:
            panel.set_xscale("log")
        panel.set_ylim(bottom=0)
    with rc_context({"svg.hashsalt": "secagg"}):
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def write(folder: Path, figures: Figures, plan: Plan) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    plot(folder / "secagg-n.svg", figures.by_n, "wallets", log=False)
    plot(folder / "secagg-d.svg", figures.by_d, "words of a vector", log=True)
    plot(folder / "secagg-dropout.svg", figures.by_lost, "per cent lost", log=False)
    (folder / "secagg.md").write_text(document(figures, plan))
