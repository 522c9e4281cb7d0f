"""Idle agents at one web process: memory for each, how fast they come, how fast an invitation reaches all of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marketplace.demo.seed_example.costs import of_trees
from tests.benchmarks.load.site import Job, Site, until

SETTLE_SECONDS = 3.0
REPEATS = 3


class Agents:
    """The process that holds the agents."""

    def __init__(self, url: str, agents: int) -> None:
        order = json.dumps({"url": url, "agents": agents})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.load.agents", order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.keys: list[str] = self._hear()["keys"]

    def ask(self, word: str, number: int = 0) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word} {number}\n")
        self._process.stdin.flush()
        return self._hear()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return dict(json.loads(self._process.stdout.readline()))


def private_kib(pid: int) -> int:
    """Memory that belongs to this process alone, KiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))


def cpu_seconds(pid: int) -> float:
    """Of this process and of what it started."""
    return of_trees({"it": pid})["it"].cpu


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(levels: Sequence[int]) -> dict[str, Any]:
    """One row per level of connected agents, rising; then invitations at each, falling."""
    with Site() as site:
        agents = Agents(site.url.replace("http", "ws", 1) + "/ws/wallet/", max(levels))
        try:
            job = Job()
            job.subscribe(agents.keys)
            rows = dict(_fill(site, agents, levels))
            began = time.monotonic()
            enrolled = job.enrol(seconds=600)
            _say({"enrolled": enrolled, "seconds": round(time.monotonic() - began, 1)})
            if enrolled != max(levels):
                raise RuntimeError(f"{enrolled} of {max(levels)} agents enrolled")
            for level in sorted(levels, reverse=True):
                agents.ask("leave", level)
                time.sleep(SETTLE_SECONDS)
                heard = _invitations(site, agents, job, level)
                _say({"agents": level} | heard)
                rows[level] |= heard
            return {"levels": [rows[level] for level in sorted(levels)]}
        finally:
            agents.stop()


def _say(row: dict[str, Any]) -> None:
    print("  " + ", ".join(f"{name} {value:,}" for name, value in row.items()), file=sys.stderr, flush=True)


def _fill(site: Site, agents: Agents, levels: Sequence[int]) -> Any:
    agents.ask("connect", 20)  # what the first connections load is not theirs
    time.sleep(SETTLE_SECONDS)
    empty = private_kib(site.web)
    for level in sorted(levels):
        cpu = cpu_seconds(site.web)
        came = agents.ask("connect", level)
        if came["failed"]:
            raise RuntimeError(f"{came['failed']} of {came['fresh']} agents could not connect")
        spent = cpu_seconds(site.web) - cpu
        time.sleep(SETTLE_SECONDS)
        row = {
            "agents": level,
            "kib_per_agent": round((private_kib(site.web) - empty) / (level - 20), 1),
            "connects_per_s": round(came["fresh"] / came["seconds"], 1),
            "came_again": came["repeated"],
            "server_cpu_ms_per_connect": round(1000 * spent / came["fresh"], 3),
            "agents_cpu_ms_per_connect": round(1000 * came["cpu"] / came["fresh"], 3),
        }
        _say(row)
        yield level, row


def _invitations(site: Site, agents: Agents, job: Job, level: int) -> dict[str, Any]:
    """The best of some rounds: from the order's leaving to each agent's hearing, milliseconds."""
    rounds = []
    for _ in range(REPEATS):
        agents.ask("invited")
        cpu = cpu_seconds(site.web)
        began = job.invite(level)
        seen: list[float] = []

        def all_heard(seen: list[float] = seen) -> bool:
            heard = agents.ask("invited")
            seen += heard["invited"]
            if heard["lost"]:
                raise RuntimeError(f"{heard['lost']} agents lost their connection")
            return len(seen) >= level

        until(all_heard, 120, f"{level} invitations")
        job.give_up()
        waits = [1000 * (at - began) for at in seen]
        rounds.append(
            {
                "invite_p50_ms": round(percentile(waits, 0.50), 1),
                "invite_p95_ms": round(percentile(waits, 0.95), 1),
                "invite_p99_ms": round(percentile(waits, 0.99), 1),
                "server_cpu_ms_per_invitation": round(1000 * (cpu_seconds(site.web) - cpu) / level, 3),
            }
        )
        time.sleep(SETTLE_SECONDS)
    return min(rounds, key=lambda row: row["invite_p99_ms"])
