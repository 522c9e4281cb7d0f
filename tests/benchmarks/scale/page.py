"""The table of docs/scale.md, between its two marks, from a result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures: written by `make scale` -->", "<!-- end of figures -->"


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(result: dict[str, Any]) -> str:
    """Arithmetic, and the simulation's figure where it has one."""
    n, c, u, w = result["needs"], result["compared"], result["costs"], result["world"]
    mib = 2**20
    rows = [
        (
            "visits, rounds of the day",
            f"{number(c['visits'])} · {number(n['rounds'])}",
            f"{number(c['rounds'])} rounds",
        ),
        (
            "visits per second, busiest hour",
            number(n["peak_visits_per_s"]),
            number(c["peak_visits_per_s"][1]),
        ),
        ("rounds that run at a time, mean", number(n["running_rounds"]), number(c["running_rounds"][1])),
        (
            f"aggregator and distributor, CPU at {1000 * u['server_cpu_s']:.1f} ms a visit",
            f"{number(n['aggregator_cpu_s'] / 3600)} h a day",
            f"{number(c['aggregator_cpu_s'][1] / 3600)} h a day",
        ),
        (
            f"cores for that, {100 * w['utilisation']:.0f} % busy in the busiest hour",
            number(n["aggregator_cores"]),
            f"{100 * c['aggregator_utilisation']:.0f} % busy over the day",
        ),
        (
            "seconds until a round's last bucket is summed, beyond the wallets' own",
            "",
            f"half within {number(c['wait_p50_s'])}, 99 % within {number(c['wait_p99_s'])}",
        ),
        (
            f"draws, CPU at {1e6 * u['draw_cpu_s']:.1f} µs a candidate",
            f"{number(n['draw_cpu_s'] / 3600)} h a day, {number(n['draw_cores_one_list'])} cores",
            "",
        ),
        (
            "draws out of turn, short rounds, merges that differ from one list's draw",
            "0 · 0 · 0",
            f"{c['drawn_out_of_turn']} · {c['short_rounds']} · {c['shards_disagree']}",
        ),
        (
            f"busiest of {w['distributor_shards']} distributor shards over the mean",
            "",
            number(c["shard_spread"]),
        ),
        (
            "wallets connected, busiest moment",
            number(n["peak_connections"]),
            number(c["peak_connections"][1]),
        ),
        (
            f"their memory at {u['idle_bytes'] / 1024:.1f} KiB each, in processes of {number(w['sockets_per_process'])}",
            f"{number(n['socket_memory_gib'])} GiB in {number(n['socket_processes'])} processes",
            "",
        ),
        (
            f"all of a process's wallets back after it died, at {number(u['connects_per_s'])} a second",
            f"{number(n['reconnect_seconds'])} s",
            "",
        ),
        ("masked inputs, busiest hour", f"{number(n['upload_bytes_per_s'] / mib)} MiB/s", ""),
        (
            "to a round's root, in levels",
            f"{number(n['root_bytes_per_round'] / mib)} MiB in {n['sum_levels']}",
            "",
        ),
        ("wallets paid in the day's epoch", number(n["paid_wallets"]), number(c["paid_wallets"][1])),
        (
            f"gas at {number(u['push_gas'])} a payment",
            f"{number(n['gas'] / 1e9)} billion, {number(n['gas_per_visit'])} a visit",
            "",
        ),
        (
            f"time on a chain that gives this site {number(w['gas_per_second'] / 1e6)} million gas a second",
            f"{number(n['chain_seconds'] / 60)} min",
            "",
        ),
    ]
    lines = ["| figure | arithmetic | simulation |", "|---|---|---|"]
    lines += [f"| {name} | {arithmetic} | {simulated} |" for name, arithmetic, simulated in rows]
    if u["assumed"]:
        lines += ["", f"Assumed, because nobody measured it yet: {', '.join(u['assumed'])}."]
    lines += ["", "![A simulated day](benchmarks/scale.svg)"]
    return "\n".join(lines)


def write(page: Path, result: dict[str, Any]) -> None:
    """Put the table between the marks.

    Raises:
        ValueError: the page has no marks.
    """
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{page.name} has no place for figures: {BEGIN} … {END}")
    page.write_text(f"{before}{BEGIN}\n\n{table(result)}\n\n{END}{after}", encoding="utf-8")
