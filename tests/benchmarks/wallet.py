"""What a wallet costs the machine of its holder: a table, and when asked the page, the picture and the JSON of docs/benchmarks.

    python -m tests.benchmarks.wallet [--visits N] [--docs docs/benchmarks] [--strict]

Visits: one gradient of an MLP with 10,000 parameters over one record, in a worker forked for the visit (the default) and in a lasting
one. CPU is what the kernel charged to everybody who works for the visit: the worker from fork to end, the torch parent it is forked
from (copying page tables), and the agent that hands over the numbers. The agreed bounds, 40 ms forked and 10 ms lasting, are for the sum.
Agent: the real process `python -m wallets.agent run` against a scripted server on loopback: time from exec to "connected" (unlocking
with the real Argon2id, starting torch, trying the quick ways out of the sandbox), and memory and CPU while nothing happens.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from collectives.terms.algorithm import parameter_count, parse_manifest
from collectives.terms.canonical import canonical
from tests.benchmarks import wallet_report
from wallets.agent.sandbox.launcher import Launcher, TrainJob

FORKED_BOUND_MS, LASTING_BOUND_MS = 40.0, 10.0
WIDTH_IN, HIDDEN = 64, 142
IDLE_SECONDS = 10.0
ROOT = Path(__file__).resolve().parents[2]


def job() -> TrainJob:
    """One record and one gradient through 64 → 142 → 5: 9,945 parameters."""
    manifest = canonical(
        {
            "version": 1,
            "name": "benchmark",
            "purpose": "measure the sandbox",
            "inputs": ["a"],
            "target": ["b"],
            "width_in": WIDTH_IN,
            "width_out": 5,
            "layers": [
                {"op": "linear", "out": HIDDEN, "bias": True},
                {"op": "relu"},
                {"op": "linear", "out": 5, "bias": True},
            ],
            "loss": "mse",
            "training": {"learning_rate_micro": 1000, "steps": 1},
            "output": {"kind": "gradient", "clip_micro": 1_000_000},
        }
    )
    count = parameter_count(parse_manifest(manifest))
    return TrainJob(
        manifest=manifest,
        weights=_spread(count, 0.1),
        x=_spread(WIDTH_IN, 1.0),
        x_shape=(1, WIDTH_IN),
        y=_spread(5, 1.0),
        y_shape=(1, 5),
        seed=bytes(32),
        dimension=count,
    )


def _spread(count: int, scale: float) -> bytes:
    """Values without a pattern a processor could profit from, float32 LE [count]."""
    return (scale * np.sin(np.arange(count) * 12.9898)).astype("<f4").tobytes()


# Visits


async def visits(count: int) -> dict[str, Any]:
    """CPU and wall of both kinds of worker in milliseconds per visit, memory of the torch parent in MiB."""
    launcher, work = Launcher(slots=1), job()
    try:
        began = time.perf_counter()
        await launcher.train(work)
        first = (time.perf_counter() - began) * 1000
        parent = largest_below(os.getpid())
        forked = await _cost(launcher, parent, count, launcher.train, work)
        worker = await launcher.lasting()
        await worker.train(work)
        lasting = await _cost(launcher, parent, count, worker.train, work, end=worker.close)
        return {
            "parameters": work.dimension,
            "visits": count,
            "forked": forked,
            "lasting": lasting,
            "first_update_from_nothing_ms": round(first),
            "torch_parent_mib": memory(parent),
            "layers": sorted(launcher.layers),
        }
    finally:
        await launcher.close()


async def _cost(
    launcher: Launcher,
    parent: int,
    count: int,
    train: Callable[[TrainJob], Awaitable[bytes]],
    work: TrainJob,
    *,
    end: Callable[[], Awaitable[None]] | None = None,
) -> dict[str, float]:
    before = launcher.cpu_ms, cpu_ms(parent), time.process_time() * 1000, time.perf_counter() * 1000
    for _ in range(count):
        await train(work)
    wall = time.perf_counter() * 1000 - before[3]
    if end is not None:
        await end()
    worker = launcher.cpu_ms - before[0]
    parents, agents = cpu_ms(parent) - before[1], time.process_time() * 1000 - before[2]
    parts = {
        "worker": worker,
        "parent": parents,
        "agent": agents,
        "cpu": worker + parents + agents,
        "wall": wall,
    }
    return {f"{name}_ms": round(value / count, 2) for name, value in parts.items()}


# The agent


async def agent() -> dict[str, Any]:
    """A real agent process: start in milliseconds, idle memory in MiB, idle CPU in milliseconds per second."""
    from tests.unit.agent import documents
    from tests.unit.agent.world import World

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "passphrase").write_text("correct horse battery")
        (folder / "me.json").write_text(json.dumps(documents.RECORD))
        (folder / "r.json").write_text(json.dumps(documents.REQUIREMENT))
        told = {**os.environ, "WALLET_PASSPHRASE_FILE": str(folder / "passphrase")}
        async with World() as world:
            await asyncio.to_thread(_command, folder, told, "init")
            await asyncio.to_thread(
                _command,
                folder,
                told,
                "import",
                str(folder / "me.json"),
                "--requirement",
                str(folder / "r.json"),
            )
            await asyncio.to_thread(
                _command, folder, told, "subscribe", world.collective.id, "--server", world.url, "--yes"
            )
            return await asyncio.to_thread(_help) | await _running(folder, told)


def _arguments(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "wallets.agent", "--wallet", str(folder / "w"), *words]


def _command(folder: Path, told: Mapping[str, str], *words: str) -> None:
    subprocess.run(_arguments(folder, *words), cwd=ROOT, env=told, check=True, capture_output=True)


def _help() -> dict[str, int]:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, cpu = time.perf_counter(), used.ru_utime + used.ru_stime
    subprocess.run(
        [sys.executable, "-m", "wallets.agent", "--help"], cwd=ROOT, capture_output=True, check=True
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall, cpu = time.perf_counter() - began, used.ru_utime + used.ru_stime - cpu
    return {"help_ms": round(wall * 1000), "help_cpu_ms": round(cpu * 1000)}


async def _running(folder: Path, told: Mapping[str, str]) -> dict[str, Any]:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *_arguments(folder, "run"),
        cwd=ROOT,
        env=told,
        stdout=asyncio.subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        while json.loads(await asyncio.wait_for(process.stdout.readline(), 120))["event"] != "connected":
            pass
        connected = (time.perf_counter() - began) * 1000
        started = cpu_ms(process.pid) + cpu_ms(largest_below(process.pid))
        before = cpu_ms(process.pid)
        await asyncio.sleep(IDLE_SECONDS)
        return {
            "connected_ms": round(connected),
            "connected_cpu_ms": round(started),
            "idle_agent_mib": memory(process.pid),
            "idle_torch_parent_mib": memory(largest_below(process.pid)),
            "idle_cpu_ms_per_s": round((cpu_ms(process.pid) - before) / IDLE_SECONDS, 2),
        }
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


# What the kernel knows


def cpu_ms(pid: int) -> float:
    """CPU time of all threads of a process, from the scheduler's own nanoseconds."""
    total = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0]) / 1e6
    return total


def memory(pid: int) -> float:
    """Proportional set size in MiB: shared pages count by their share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def largest_below(ancestor: int) -> int:
    """The process with the most memory among those that descend from `ancestor`: the torch parent."""
    found = [(0, ancestor)]
    for path in Path("/proc").glob("[0-9]*/statm"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(path.parent.name)
            if pid != ancestor and _descends(pid, ancestor):
                found.append((int(path.read_text().split()[1]), pid))
    return max(found)[1]


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        if pid == ancestor:
            return True
    return False


async def measure(count: int) -> dict[str, Any]:
    """Everything, and whether the bounds are kept."""
    began = {"day": date.today().isoformat(), "load": round(os.getloadavg()[0], 1)}
    found = await visits(count)
    kept = found["forked"]["cpu_ms"] <= FORKED_BOUND_MS and found["lasting"]["cpu_ms"] <= LASTING_BOUND_MS
    return {
        "visits": found,
        "agent": await agent(),
        "bounds": {"forked_cpu_ms": FORKED_BOUND_MS, "lasting_cpu_ms": LASTING_BOUND_MS},
        "within_bounds": kept,
        "machine": {
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "kernel": ".".join(platform.release().split(".")[:2]),
            "processor": platform.machine(),
        },
        "began": began,
    }


def main() -> int:
    """Print, keep when asked; with --strict exit 1 when a bound is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visits", type=int, default=200)
    parser.add_argument(
        "--docs", type=Path, help="a folder to write wallet.md, wallet.svg and wallet.json into"
    )
    parser.add_argument("--strict", action="store_true", help="fail when a bound is broken")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.visits))
    print(wallet_report.table(figures))
    if options.docs is not None:
        wallet_report.write(options.docs, figures)
    return 1 if options.strict and not figures["within_bounds"] else 0


if __name__ == "__main__":
    sys.exit(main())
