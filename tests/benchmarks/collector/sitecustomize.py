"""How long each process of a demo spends in Python's collector of cyclic garbage (ADR 0031).

    PYTHONPATH=tests/benchmarks/collector COLLECTOR_LOG=collector.log .venv/bin/python manage.py demo --wallets 400 --rounds 5 --no-faults

Python imports a module of this name when it starts, so every process that the demo starts counts too. A process that ends in order adds a line:
seconds in the collector, CPU seconds in all, collections by generation, command.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import time
from pathlib import Path

_began = 0.0
_seconds = 0.0
_counts = [0, 0, 0]


def _note(phase: str, info: dict[str, int]) -> None:
    global _began, _seconds
    if phase == "start":
        _began = time.perf_counter()
        return
    _seconds += time.perf_counter() - _began
    _counts[info["generation"]] += 1


def _write() -> None:
    command = " ".join(sys.orig_argv[:6])
    with Path(os.environ["COLLECTOR_LOG"]).open("a") as log:
        log.write(f"{_seconds:.2f} of {time.process_time():.1f} s, {_counts}: {command}\n")


if "COLLECTOR_LOG" in os.environ:
    gc.callbacks.append(_note)
    atexit.register(_write)
