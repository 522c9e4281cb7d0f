"""The wallet's benchmark measures what it says it measures."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import wallet, wallet_report

DOCS = wallet.ROOT / "docs" / "benchmarks"


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


FIGURES: dict[str, Any] = {
    "visits": {
        "visits": 7,
        "first_update_from_nothing_ms": 1900,
        "forked": {"worker_ms": 11.5, "parent_ms": 3.25, "agent_ms": 1.0, "cpu_ms": 15.75, "wall_ms": 20.5},
        "lasting": {"worker_ms": 2.5, "parent_ms": 0.0, "agent_ms": 0.5, "cpu_ms": 3.0, "wall_ms": 4.0},
    },
    "agent": {
        "help_ms": 500,
        "help_cpu_ms": 400,
        "connected_ms": 3000,
        "connected_cpu_ms": 2500,
        "idle_agent_mib": 41.5,
        "idle_torch_parent_mib": 160.5,
        "idle_cpu_ms_per_s": 1.25,
    },
    "bounds": {"forked_cpu_ms": 40.0, "lasting_cpu_ms": 10.0},
    "within_bounds": True,
    "machine": {"cpus": 2, "python": "3.11", "kernel": "6.1", "processor": "x86_64"},
    "began": {"day": "2026-01-02", "load": 0.5},
}
"""Of no machine."""


def test_the_page_holds_the_runs_figures_and_keeps_what_is_written_around_them(tmp_path: Path) -> None:
    shutil.copy(DOCS / "wallet.md", tmp_path)
    was = (tmp_path / "wallet.md").read_text()
    wallet_report.write(tmp_path, FIGURES)
    page = (tmp_path / "wallet.md").read_text()
    assert page.startswith(was.partition(wallet_report.BEGIN)[0])
    assert page.endswith(was.partition(wallet_report.END)[2])
    assert "| forked | 11.5 | 3.25 | 1.0 | **15.75** | 40 | 20.5 |" in page
    assert "| lasting | 2.5 | 0.0 | 0.5 | **3.0** | 10 | 4.0 |" in page
    for said in (
        "Measured on 2026-01-02: 7 visits",
        "load 0.5 when the run began. Both bounds are kept.",
        "2500 ms CPU, 3000 ms by the clock",
        "1900 ms by the clock",
        "| idle memory, agent | 41.5 MiB |",
        "| idle CPU, agent | 1.25 ms per second |",
    ):
        assert said in page
    assert json.loads((tmp_path / "wallet.json").read_text()) == FIGURES
    picture = (tmp_path / "wallet.svg").read_bytes()
    wallet_report.write(tmp_path, FIGURES)
    assert (tmp_path / "wallet.md").read_text() == page
    assert (tmp_path / "wallet.svg").read_bytes() == picture
    assert "**A bound is broken.**" in wallet_report.section({**FIGURES, "within_bounds": False})
    (tmp_path / "wallet.md").write_text("nothing")
    with pytest.raises(ValueError, match="no place for figures"):
        wallet_report.write(tmp_path, FIGURES)


def test_the_pages_figures_are_those_of_the_last_run() -> None:
    page, kept = (DOCS / "wallet.md").read_text("utf-8"), DOCS / "wallet.json"
    inside = page.partition(wallet_report.BEGIN)[2].partition(wallet_report.END)[0].strip()
    assert inside
    if kept.exists():  # until a run wrote it, the page says under which circumstances it was measured
        assert inside == wallet_report.section(json.loads(kept.read_text("utf-8")))


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
    assert str(figures["visits"]["forked"]["cpu_ms"]) in wallet_report.section(figures)
