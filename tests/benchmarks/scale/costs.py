"""Unit costs as this repository's own commands measured them. Every figure says from which file and key it comes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent.parent
FILES = {
    "server": (
        ROOT / "docs/benchmarks/secagg-server.json",
        "python -m tests.benchmarks.secagg_server --out docs/benchmarks/secagg-server.json",
    ),
    "gas": (ROOT / "tests/contracts/gas_report.json", "python -m tests.contracts.gas"),
    "draw": (ROOT / "docs/benchmarks/draw.json", "python -m tests.benchmarks.scale.draw"),
    "load": (ROOT / "docs/benchmarks/load.json", "make bench-load"),
}
"""Name → where the figures lie, and the command that writes them."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What one of everything costs on one core of the measuring machine.

    Attributes:
        server_cpu_s: of aggregator and distributor together, per visit (vectors of `d` words, buckets of 50).
        draw_cpu_s: of the distributor's draw, per candidate looked at.
        idle_bytes: of a connected, silent wallet at the distributor.
        connects_per_s: wallets that one process lets in.
        push_gas: of one recipient in a push of 500 who was paid before; `settle_gas` of a job's epoch.
        assumed: names of figures whose file is missing, taken from the design's targets instead.
    """

    d: int
    server_cpu_s: float
    draw_cpu_s: float
    idle_bytes: float
    connects_per_s: float
    push_gas: float
    settle_gas: int
    publish_gas: int
    assumed: tuple[str, ...] = ()


TARGETS = {"kib_per_idle_agent": 40.0, "connects_per_s": 800.0}
"""Design targets, used (and named) where nothing was measured yet."""


def read(files: dict[str, Path] | None = None) -> Costs:
    """Raises:
    FileNotFoundError: a file without which nothing can be said; names the command that writes it.
    """
    paths = {name: path for name, (path, _) in FILES.items()} | (files or {})
    found: dict[str, dict[str, Any]] = {}
    for name, path in paths.items():
        if path.exists():
            found[name] = json.loads(path.read_text(encoding="utf-8"))
        elif name != "load":
            raise FileNotFoundError(f"{path.name} is missing; write it with: {FILES[name][1]}")
    load = found.get("load", {})
    missing = tuple(sorted(name for name in TARGETS if load.get(name) is None))
    load = {name: load.get(name) or value for name, value in TARGETS.items()}
    server, gas = found["server"], found["gas"]
    return Costs(
        d=int(server["d"]),
        server_cpu_s=server["server_cpu_ms_per_visit"] / 1000,
        draw_cpu_s=found["draw"]["cpu_us_per_candidate"] / 1e6,
        idle_bytes=load["kib_per_idle_agent"] * 1024,
        connects_per_s=load["connects_per_s"],
        push_gas=gas["push_500_again_gas"] / 500,
        settle_gas=gas["settle_again_gas"],
        publish_gas=gas["publish_gas"],
        assumed=missing,
    )
