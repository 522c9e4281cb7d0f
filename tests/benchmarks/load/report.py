"""Figures against targets, a page for docs/benchmarks with plots, and the one line of JSON."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from marketplace.demo import plots

AT_LEAST = {"visits_per_s": 100, "simulated_visits_per_s": 250}
"""Visits a second."""
TARGETS: Mapping[str, tuple[str, Callable[[float], bool]]] = {
    "idle_agents_held": ("≥ 10,000", lambda value: value >= 10_000),
    "kib_per_idle_agent": ("≤ 40", lambda value: value <= 40),
    "connects_per_s": ("≥ 800", lambda value: value >= 800),
    "invite_p99_ms": ("≤ 1,000", lambda value: value <= 1_000),
    "visits_per_s": ("≥ 100", lambda value: value >= AT_LEAST["visits_per_s"]),
    "simulated_visits_per_s": (
        "≥ 250 (goal 1,000)",
        lambda value: value >= AT_LEAST["simulated_visits_per_s"],
    ),
}
MEANING = {
    "visits_per_s": "visits per second end to end, every agent with a connection and a sandboxed worker of its own",
    "simulated_visits_per_s": "the same with wallets packed in hosts",
    "idle_agents_held": "idle agents at one web process, none refused",
    "kib_per_idle_agent": "memory of that process for each, KiB",
    "connects_per_s": "agents that came per second, both sides on this machine",
    "invite_p99_ms": "99 of 100 invitations heard, milliseconds after the order left",
    "visits_ratio_flower_deployed": "visits per second ÷ Flower's, deployed",
    "visits_ratio_flower_simulation": "packed visits per second ÷ Flower's simulation",
}
KEYS = (
    *("visits_per_s", "simulated_visits_per_s", "idle_agents_held", "kib_per_idle_agent", "connects_per_s"),
    *("invite_p99_ms", "visits_ratio_flower_deployed", "visits_ratio_flower_simulation"),
)


def line(found: Mapping[str, Any]) -> dict[str, Any]:
    """The agreed keys; None for what was not measured in this run."""
    largest = found["crowd"]["levels"][-1] if "crowd" in found else {}
    apart, packed = found.get("apart", {}), found.get("packed", {})
    return {
        "visits_per_s": apart.get("visits_per_s"),
        "simulated_visits_per_s": packed.get("visits_per_s"),
        "idle_agents_held": largest.get("agents"),
        "kib_per_idle_agent": largest.get("kib_per_agent"),
        "connects_per_s": largest.get("connects_per_s"),
        "invite_p99_ms": largest.get("invite_p99_ms"),
        "visits_ratio_flower_deployed": _ratio(apart, found.get("flower_deployed")),
        "visits_ratio_flower_simulation": _ratio(packed, found.get("flower_simulation")),
    }


def _ratio(ours: Mapping[str, Any], theirs: Mapping[str, Any] | None) -> float | None:
    if not ours or not theirs:
        return None
    return float(round(ours["visits_per_s"] / theirs["visits_per_s"], 1))


def page(found: Mapping[str, Any]) -> str:
    """docs/benchmarks/load.md."""
    parts = [_head(found), _targets(line(found))]
    for name, write in _SECTIONS.items():
        if name in found:
            parts.append(write(found[name], found))
    return "\n\n".join(parts) + "\n"


def _head(found: Mapping[str, Any]) -> str:
    load = found.get("load_average")
    shared = (
        f" Other work shared the machine (load {load:.0f} when the run began), so figures by the clock "
        "are lower ends; CPU figures are what to compare."
        if load and load > (os.cpu_count() or 1)
        else ""
    )
    return (
        "# Load: agents, vectors, visits, pages\n\n"
        "Written by `make bench-load` (after `make bench-peers`, which makes Flower's environment); `ARGS=--help` says how to raise the sizes. "
        f"Measured {dt.date.today():%d %B %Y} on {os.cpu_count()} cores ({platform.machine()}), servers, agents and database together.{shared}{_when(found.get('at', {}))}"
    )


def _when(parts: Mapping[str, str]) -> str:
    """Parts that `--only` measured are beside those that were measured before."""
    if not parts:
        return ""
    return f" Parts: {', '.join(f'{name} {when}' for name, when in parts.items())}; what is not named here, in an earlier run."


def _targets(values: Mapping[str, Any]) -> str:
    rows = ["| figure | | target | measured | met |", "|---|---|---|---|---|"]
    for key in KEYS:
        value = values[key]
        target, good = TARGETS.get(key, ("", lambda _: True))
        met = "" if value is None or not target else "yes" if good(value) else "no"
        shown = "not in this run" if value is None else f"{value:,}"
        rows.append(f"| `{key}` | {MEANING[key]} | {target} | {shown} | {met} |")
    return "\n".join(rows)


def _crowd(part: Mapping[str, Any], _: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{row['agents']:,}",
            row["kib_per_agent"],
            f"{row['connects_per_s']:,.0f}",
            row["server_cpu_ms_per_connect"],
            f"{row['invite_p50_ms']:,.0f}",
            f"{row['invite_p95_ms']:,.0f}",
            f"{row['invite_p99_ms']:,.0f}",
            row["server_cpu_ms_per_invitation"],
        ]
        for row in part["levels"]
    ]
    heads = (
        *("agents", "KiB each", "connects/s", "server's CPU ms per connect", "invited p50 ms", "p95", "p99"),
        "server's CPU ms per invitation",
    )
    return (
        "## Idle agents at one web process\n\nEach agent has a socket and a key of its own, signs the challenge, and answers heartbeats; what a "
        "wallet checks of a message is not part of this (wallet.md). "
        "Memory is private memory of the process. Invitations: a round for all of them, from the collective's order leaving (drawing "
        "and storing the cohort included) to each agent's hearing.\n\n" + _table(heads, rows)
    )


def _visits(part: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    rows = []
    for name, title in (("apart", "each agent for itself"), ("packed", "packed in two hosts")):
        if name in found:
            one = found[name]
            rows.append(
                [
                    title,
                    f"{one['wallets']:,}",
                    f"{one['visits']:,}",
                    one["visits_per_s"],
                    one["cpu_ms_per_visit"],
                    one["visits_per_cpu_s"],
                    f"{one['peak_memory_mib']:,}",
                ]
            )
    heads = (
        *("wallets are", "wallets", "visits", "visits/s by the clock", "CPU ms per visit, everybody"),
        *("visits per CPU second", "memory MiB, everybody"),
    )
    failed = sum(found.get(where, {}).get("pages_failed", 0) for where in ("apart", "packed"))
    pages = [
        [name, where, seen["requests"], seen["p50_ms"], seen["p95_ms"]]
        for where in ("apart", "packed")
        for name, seen in found.get(where, {}).get("pages", {}).items()
    ]
    return (
        "## Visits end to end\n\nThe whole job by `manage.py seed_example`: invitation, checks, receipt, training in the sandbox, secure "
        "aggregation, ledger, checkpoint; real stores, on SQLite, with one web process and one worker. Two cores do at most two seconds of CPU a second.\n\n"
        + _table(heads, rows)
        + "\n\n![CPU against visits](load-visits.svg)\n\n### Pages meanwhile\n\n"
        + _table(("page", "wallets are", "asked", "p50 ms", "p95 ms"), pages)
        + f"\n\nRequests that failed or were answered otherwise than 200: {failed}."
    )


def _floors(part: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """The most visits there can be, from what no visit is without."""
    apart, packed = found.get("apart"), found.get("packed")
    wallet, hosted = part["wallet_cpu_ms"], part["hosted_wallet_cpu_ms"]
    aggregator, worker = part["aggregator_cpu_ms"], part["worker_cpu_ms"]
    rows = [
        ["a wallet's secure aggregation", wallet, hosted],
        ["the aggregator's, for each wallet", aggregator, aggregator],
        ["a sandboxed process for the visit", worker, "shared by up to 64"],
        [
            "**together**",
            f"**{wallet + aggregator + worker:.1f}**",
            f"**{hosted + aggregator:.1f}**",
        ],
        [
            "**visits/s that two cores bear of these alone**",
            f"**{part['most_visits_per_s']}**",
            f"**{part['most_packed_visits_per_s']}**",
        ],
        ["a visit with everything, in the run above", *(_everything(run) for run in (apart, packed))],
        [
            "CPU that the target leaves for a visit",
            f"{_left('visits_per_s'):.0f}",
            f"{_left('simulated_visits_per_s'):.0f}",
        ],
    ]
    return (
        "### What two cores can bear\n\n"
        f"Parts that no visit is without, measured with nothing around them: a round of {part['wallets']} wallets of d = {part['d']} in one process, nobody lost; and one "
        "visit's process, asked for, forked, confined, trained in and ended. CPU milliseconds. A wallet by itself parses and checks all it is sent; packed ones look once at "
        "equal bytes, and make their own keys, masks and shares. Not among them: stores, sockets, receipts, checks of terms, ledger, checkpoint. "
        "What follows from it is in ADR 85.\n\n"
        + _table(("CPU ms for a visit", "each agent for itself", "packed"), rows)
    )


def _everything(run: Mapping[str, Any] | None) -> str:
    return (
        f"{run['cpu_ms_per_visit']:.1f}, of it the hosts {_of_hosts(run):.1f}" if run else "not in this run"
    )


def _left(target: str) -> float:
    """CPU milliseconds for each visit when two processors make as many a second as the target says."""
    return 2000 / AT_LEAST[target]


def _of_hosts(run: Mapping[str, Any]) -> float:
    """CPU milliseconds of the wallets' hosts for a visit."""
    seconds = sum(value for name, value in run["cpu_seconds_by_part"].items() if name.startswith("host"))
    return float(1000 * seconds / run["visits"])


def _growth(part: Mapping[str, Any], _: Mapping[str, Any]) -> str:
    heads = ("agents", "d", "vectors/s", "MB/s in", "server's CPU ms each", "agent's CPU ms each")
    rows = [
        [
            f"{row['agents']:,}",
            f"{row['d']:,}",
            row["vectors_per_s"],
            row["mb_in_per_s"],
            row["server_cpu_ms"],
            row["agents_cpu_ms"],
        ]
        for row in (*part["by_agents"], *part["by_length"])
    ]
    return (
        "## Vectors in\n\nRounds through the real server with scripted agents that have their updates ready: all phases, uploads by PUT.\n\n"
        + _table(heads, rows)
        + "\n\n![CPU by agents](load-agents.svg)\n![CPU by length](load-length.svg)"
    )


def _flower(part: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    rows = [
        [
            title,
            found[name]["nodes"],
            found[name]["visits"],
            found[name]["visits_per_s"],
            found[name]["cpu_ms_per_visit"],
            f"{found[name]['peak_memory_mib']:,}",
        ]
        for name, title in (
            ("flower_deployed", "SuperLink and SuperNodes"),
            ("flower_simulation", "simulation (Ray)"),
        )
        if name in found
    ]
    heads = ("Flower 1.42", "nodes", "visits", "visits/s by the clock", "CPU ms per visit", "memory MiB")
    return (
        "## Flower on the same model\n\nIn the same run on the same machine: the same net of 586 parameters, one record a wallet, one clipped gradient a visit, its "
        "SecAgg+ on. In its favour: numpy in place of torch and a sandbox, no stores, no receipts, no ledger, no signatures.\n\n"
        + _table(heads, rows)
    )


_SECTIONS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], str]] = {
    "crowd": _crowd,
    "packed": _visits,
    "floors": _floors,
    "growth": _growth,
    "flower_simulation": _flower,
}


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def draw(found: Mapping[str, Any], folder: Path) -> None:
    """The plots of what was measured."""
    if "packed" in found:
        _write(folder / "load-visits.svg", _visits_plot(found))
    if "growth" in found:
        by_agents, by_length = found["growth"]["by_agents"], found["growth"]["by_length"]
        _write(
            folder / "load-agents.svg", _cpu_plot(by_agents, "agents", "CPU per vector by agents, d = 5,000")
        )
        _write(folder / "load-length.svg", _cpu_plot(by_length, "d", "CPU per vector by length, 100 agents"))


def _visits_plot(found: Mapping[str, Any]) -> str:
    def fill(axes: Axes) -> None:
        for name, colour, label in (
            ("apart", "#c9772b", "each agent for itself"),
            ("packed", "#2f80c3", "packed in hosts"),
        ):
            points = found.get(name, {}).get("points") or []
            axes.plot([p[0] for p in points], [p[1] for p in points], color=colour, label=label)
        axes.set_xlabel("visits")
        axes.set_ylabel("CPU seconds of all parts")
        axes.legend(frameon=False, fontsize=8)

    return plots.figure("CPU of the rounds against visits", fill)


def _cpu_plot(rows: Sequence[Mapping[str, Any]], along: str, title: str) -> str:
    def fill(axes: Axes) -> None:
        for name, colour, label in (
            ("server_cpu_ms", "#2f80c3", "server"),
            ("agents_cpu_ms", "#c9772b", "agent"),
        ):
            axes.plot(
                [row[along] for row in rows],
                [row[name] for row in rows],
                color=colour,
                marker="o",
                label=label,
            )
        axes.set_xlabel(along)
        axes.set_ylabel("CPU, ms per vector")
        axes.set_xscale("log")
        axes.set_xticks([row[along] for row in rows], [f"{row[along]:,}" for row in rows])
        axes.set_xticks([], minor=True)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8)

    return plots.figure(title, fill)


def _write(path: Path, text: str) -> None:
    path.write_text(
        text.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1) if "xmlns=" not in text else text
    )
