"""The benchmark of the real server runs to its end: what it borrows from the tests' world may change under it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_a_small_round_is_measured() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.secagg_server"]
    run = subprocess.run(
        [*command, "--agents", "100", "--d", "1000", "--rounds", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout.splitlines()[-1])
    assert figures["agents"] == 100
    assert figures["server_visits_per_s"] > 0 and figures["in_process_visits_per_s"] > 0
