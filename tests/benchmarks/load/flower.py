"""Flower 1.42 on the same model in the same run: deployed (a SuperLink and SuperNodes as processes) and simulated (its Ray engine)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from marketplace.demo.isolation import free_port
from marketplace.demo.seed_example.costs import of_trees
from tests.benchmarks.load.environment import inherited

ROOT = Path(__file__).resolve().parents[3]
BIN = ROOT / ".venv-peers" / "bin"
HERE = Path(__file__).resolve().parent
LIMIT_SECONDS = 900
START_SECONDS = 10.0
"""A SuperLink takes some seconds of CPU before it listens."""
_PROJECT = """[project]
name = "same-model"
version = "1.0.0"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "bench"

[tool.flwr.app.components]
serverapp = "flower_app:server"
clientapp = "flower_app:client"
"""
_CONNECTION = """[superlink]
default = "here"

[superlink.here]
address = "127.0.0.1:{port}"
insecure = true
"""


class NoPeers(RuntimeError):
    """The environment of `make bench-peers` is missing."""


def simulation(nodes: int, rounds: int) -> dict[str, Any]:
    """Visits per second of Flower's simulation engine, by the clock of its rounds, and CPU of everything it started."""
    with tempfile.TemporaryDirectory(prefix="cssi-flwr-") as folder:
        out = Path(folder) / "out.json"
        process = subprocess.Popen(
            [str(BIN / "python"), str(HERE / "flower_app.py"), "simulation", str(nodes), str(rounds)],
            env=_environment(out, nodes, rounds, Path(folder)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        print(f"  simulation of {nodes} nodes, {rounds} rounds", file=sys.stderr, flush=True)
        cpu = _watch({"all": process.pid}, out, process)
        return _row(out, cpu)


def deployed(nodes: int, rounds: int) -> dict[str, Any]:
    """The same with a SuperLink and one SuperNode process per wallet."""
    with tempfile.TemporaryDirectory(prefix="cssi-flwr-") as name, ExitStack() as ends:
        folder, out, port = Path(name), Path(name) / "out.json", free_port()
        environment = _environment(out, nodes, rounds, folder)
        project = _project(folder, port)

        def start(*command: str) -> int:
            log = ends.enter_context((folder / f"{command[0]}.log").open("ab"))
            process = subprocess.Popen(
                [str(BIN / command[0]), *command[1:]], env=environment, stdout=log, stderr=log, cwd=folder
            )
            ends.callback(_end, process)
            return process.pid

        listen = ("--insecure", "--host", "127.0.0.1", "--port")
        installs_nothing = "--disable-runtime-dependency-installation"
        roots = {"superlink": start("flower-superlink", *listen, str(port), installs_nothing)}
        time.sleep(START_SECONDS)
        for number in range(nodes):
            own = (*listen, str(free_port()), "--superlink", f"127.0.0.1:{port}")
            roots[f"node {number}"] = start("flower-supernode", *own)
        time.sleep(START_SECONDS)
        print(f"  {nodes} SuperNodes are up, {rounds} rounds", file=sys.stderr, flush=True)
        _submit(project, environment)
        return _row(out, _watch(roots, out, None))


def _project(folder: Path, port: int) -> Path:
    """The Flower app, and where its command finds the SuperLink."""
    project, home = folder / "app", folder / "home"
    project.mkdir()
    home.mkdir()
    shutil.copy(HERE / "flower_app.py", project / "flower_app.py")
    (project / "pyproject.toml").write_text(_PROJECT, encoding="utf-8")
    (home / "config.toml").write_text(_CONNECTION.format(port=port), encoding="utf-8")
    return project


def _submit(project: Path, environment: dict[str, str]) -> None:
    run = subprocess.run(
        [str(BIN / "flwr"), "run", str(project), "here"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"flwr run: {run.stdout[-1000:]} {run.stderr[-1000:]}")


def _environment(out: Path, nodes: int, rounds: int, folder: Path) -> dict[str, str]:
    if not (BIN / "flwr").exists():
        raise NoPeers("Flower is not here; `make bench-peers` installs it.")
    return inherited() | {
        "BENCH_OUT": str(out),
        "BENCH_NODES": str(nodes),
        "BENCH_ROUNDS": str(rounds),
        "FLWR_HOME": str(folder / "home"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DEDUP_LOGS": "0",
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }


def _watch(roots: dict[str, int], out: Path, process: subprocess.Popen[bytes] | None) -> dict[str, Any]:
    """CPU from now until the result is there, and the largest memory.

    Raises:
        RuntimeError: it ended without one, or took too long.
    """
    began, last = of_trees(roots), {}
    peak, limit = 0, time.monotonic() + LIMIT_SECONDS
    while not out.exists() or not out.stat().st_size:
        if time.monotonic() > limit or (process is not None and process.poll() not in (None, 0)):
            raise RuntimeError("Flower did not finish its rounds.")
        last = of_trees(roots)
        peak = max(peak, sum(cost.memory for cost in last.values()))
        time.sleep(0.5)
    if process is not None:
        process.wait(120)
    cpu = sum(cost.cpu for cost in last.values()) - sum(cost.cpu for cost in began.values())
    return {"cpu_seconds": cpu, "peak_memory_mib": peak // 2**20}


def _row(out: Path, spent: dict[str, Any]) -> dict[str, Any]:
    done = json.loads(out.read_text(encoding="utf-8"))
    row = {
        "nodes": done["nodes"],
        "visits": done["visits"],
        "visits_per_s": round(done["visits"] / done["seconds"], 3),
        "cpu_ms_per_visit": round(1000 * spent["cpu_seconds"] / done["visits"], 1),
        "peak_memory_mib": spent["peak_memory_mib"],
    }
    print("  " + ", ".join(f"{name} {value:,}" for name, value in row.items()), file=sys.stderr, flush=True)
    return row


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
