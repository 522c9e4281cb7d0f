"""The wallet's benchmark measures what it says it measures."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pytest

from tests.benchmarks import wallet


def test_cpu_and_memory_are_the_kernels_own_figures() -> None:
    before, end = wallet.cpu_ms(os.getpid()), time.process_time() + 0.05
    while time.process_time() < end:
        pass
    assert 40 <= wallet.cpu_ms(os.getpid()) - before <= 500
    assert 5 < wallet.memory(os.getpid()) < 4000


def test_the_job_is_an_mlp_of_ten_thousand_parameters() -> None:
    work = wallet.job()
    assert work.dimension == 9_945
    assert len(work.weights) == 4 * work.dimension


@pytest.mark.long
def test_everything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wallet, "IDLE_SECONDS", 0.5)
    figures: dict[str, Any] = asyncio.run(wallet.measure(3))
    for kind in ("forked", "lasting"):
        part = figures["visits"][kind]
        assert part["cpu_ms"] == pytest.approx(
            part["worker_ms"] + part["parent_ms"] + part["agent_ms"], abs=0.05
        )
    assert figures["visits"]["forked"]["parent_ms"] > figures["visits"]["lasting"]["parent_ms"]
    running = figures["agent"]
    assert 0 < running["help_ms"] < running["connected_ms"]
    assert 0 < running["idle_agent_mib"] < running["idle_torch_parent_mib"]
    assert str(figures["visits"]["forked"]["cpu_ms"]) in wallet.table(figures)
