"""Visits end to end with real agents in hosts (`manage.py seed_example`), and what pages take while they run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks.load.crowd import percentile
from tests.benchmarks.load.environment import inherited

ROOT = Path(__file__).resolve().parents[3]
PAGES = {
    "first page": "/",
    "collectives": "/collectives/",
    "sign in": "/accounts/login/",
    "collectives, API": "/api/v1/collectives",
    "health": "/healthz",
}
PAUSE_SECONDS = 0.25


def measure(wallets: int, visits: int, *, packed: bool, cohort: int | None = None) -> dict[str, Any]:
    """One run of the whole job; visits per second by the clock and by CPU, and page latencies during its rounds."""
    folder = Path(tempfile.mkdtemp(prefix="cssi-visits-"))
    command = [
        *(sys.executable, "manage.py", "seed_example", "--wallets", str(wallets), "--visits", str(visits)),
        *("--report", str(folder / "report")),
        *(() if packed else ("--apart",)),
        *(() if cohort is None else ("--cohort", str(cohort))),
        *(("--development",) if wallets < 300 else ()),
    ]
    watcher = Watcher(folder / "var")
    watcher.start()
    code, failed = _told(command, inherited() | {"CSSI_VAR": str(folder / "var"), "PYTHONUNBUFFERED": "1"})
    watcher.stop()
    if code:
        raise RuntimeError(f"seed_example ended with {code}: {failed}")
    figures = json.loads((folder / "report" / "seed-example.json").read_text(encoding="utf-8"))
    return {
        "wallets": wallets,
        "visits": figures["visits"],
        "cohort": figures["cohort"],
        "visits_per_s": round(figures["visits"] / figures["seconds"]["rounds"], 1),
        "visits_per_cpu_s": figures["visits_per_cpu_second"],
        "cpu_ms_per_visit": figures["cpu_ms_per_unit"]["rounds"],
        "cpu_ms_per_wallet": figures["cpu_ms_per_unit"]["wallets"],
        "cpu_ms_per_subscription": figures["cpu_ms_per_unit"]["subscriptions"],
        "cpu_seconds_by_part": figures["cpu_seconds_by_part"]["rounds"],
        "peak_memory_mib": figures["peak_memory_mib"],
        "ok": figures["ok"],
        "points": figures["points"],
        "pages": watcher.latencies(),
        "pages_failed": watcher.failed,
    }


def _told(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run it and pass on what it says while it says it; its exit code, and the checks that did not hold or else its last line. Ends it
    when this process is interrupted."""
    last, failed = "", []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(f"  {line.rstrip()}", file=sys.stderr, flush=True)
                last = line.strip() or last
                if "\N{BALLOT X}" in line:
                    failed.append(line.strip())
            return process.wait(), " ".join(failed) or last
        except BaseException:
            process.send_signal(signal.SIGINT)  # it ends its parts
            raise


class Watcher(threading.Thread):
    """Somebody who looks at pages all the time while rounds run."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._ended = threading.Event()
        self._seen: dict[str, list[float]] = {name: [] for name in PAGES}
        self._unheard = (
            0  # since the last answer: at the end the site is stopped, and nobody waits for a page any more
        )
        self.failed = 0

    def run(self) -> None:
        while not self._rounds_run():
            if self._ended.wait(PAUSE_SECONDS):
                return
        ports = json.loads((self._folder / "ports.json").read_text(encoding="ascii"))
        with httpx.Client(
            base_url=f"http://127.0.0.1:{ports['CSSI_PORT']}", timeout=30, trust_env=False
        ) as http:
            while not self._ended.is_set():
                for name, path in PAGES.items():
                    began = time.perf_counter()
                    try:
                        self.failed += http.get(path).status_code != 200
                        self._seen[name].append(1000 * (time.perf_counter() - began))
                        self.failed, self._unheard = self.failed + self._unheard, 0
                    except httpx.HTTPError:
                        self._unheard += 1
                    if self._ended.wait(PAUSE_SECONDS):
                        return

    def _rounds_run(self) -> bool:
        with suppress(OSError, ValueError):
            book = json.loads((self._folder / "seed-example.json").read_text(encoding="utf-8"))
            return bool(book["points"])
        return False

    def stop(self) -> None:
        self._ended.set()
        self.join(40)

    def latencies(self) -> dict[str, dict[str, float]]:
        """Milliseconds by page."""
        return {
            name: {
                "requests": len(seen),
                "p50_ms": round(percentile(seen, 0.50), 1),
                "p95_ms": round(percentile(seen, 0.95), 1),
            }
            for name, seen in self._seen.items()
            if seen
        }


def vectors(agents: int, d: int, *, rounds: int = 2) -> dict[str, Any]:
    """Whole aggregation rounds through the real server (`tests.benchmarks.secagg_server`); vectors and megabytes in per second."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [
            *(sys.executable, "-m", "tests.benchmarks.secagg_server", "--agents", str(agents)),
            *("--d", str(d), "--rounds", str(rounds), "--out", out.name, "--served-only"),
        ]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"{agents} agents, d {d}: {ended.stderr[-2000:]}")
        figures = json.loads(Path(out.name).read_text(encoding="utf-8"))
    row = {
        "agents": agents,
        "d": d,
        "vectors_per_s": figures["server_visits_per_s"],
        "mb_in_per_s": round(figures["server_visits_per_s"] * 4 * d / 1e6, 2),
        "server_cpu_ms": figures["server_cpu_ms_per_visit"],
        "agents_cpu_ms": figures["agents_cpu_ms_per_visit"],
    }
    print("  " + ", ".join(f"{name} {value:,}" for name, value in row.items()), file=sys.stderr, flush=True)
    return row


def growth(agents: Sequence[int], lengths: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
    """Along the number of agents at 5,000 words, and along the length at 100 agents."""
    return {
        "by_agents": [vectors(count, 5_000) for count in agents],
        "by_length": [vectors(100, d) for d in lengths],
    }
