"""The whole stack as processes, by its own commands: the main job holds, survives kills, and a planted leak is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from marketplace.demo.isolation import free_port

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parent.parent.parent


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`manage.py demo` on a state folder and ports of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CSSI_", "DJANGO_", "PYTEST_"))}
    environment |= {
        "CSSI_VAR": str(folder / "var"),
        "CSSI_PORT": str(free_port()),
        "CSSI_CHAIN_PORT": str(free_port()),
        "COLUMNS": "200",
    }
    return subprocess.run(
        [sys.executable, "manage.py", "demo", "--report", str(folder / "report"), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
    )


def test_the_main_job_holds_while_servers_are_killed(tmp_path: Path) -> None:
    run = demo(tmp_path, "--wallets", "48", "--rounds", "4", "--development-cohort", "20", "--kill-servers")

    assert run.returncode == 0, run.stdout + run.stderr
    assert "Everything held." in run.stdout
    for held in (
        "✓ Sums are exact",
        "✓ Every wallet was paid for exactly its visits",
        "✓ Ledger and chain agree to the last unit",
        "✓ Revoked wallets refused from that instant",
        "✓ Killed servers came back and the job went on",
        "✓ Nobody saw more than they may",
    ):
        assert held in run.stdout, held
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert "Everything held" in page


def test_a_leak_planted_on_purpose_fails_the_run(tmp_path: Path) -> None:
    run = demo(
        tmp_path,
        "--case",
        "job-performance",
        "--wallets",
        "24",
        "--rounds",
        "1",
        "--development-cohort",
        "10",
        "--no-faults",
        "--plant-leak",
    )

    assert run.returncode != 0
    assert "✗ Nobody saw more than they may" in run.stdout, run.stdout + run.stderr
    assert "LEAK" in run.stdout
    assert "✓ Ledger and chain agree to the last unit" in run.stdout


def test_too_few_people_are_refused_by_name_before_anything_starts(tmp_path: Path) -> None:
    run = demo(tmp_path, "--wallets", "299")

    assert run.returncode != 0
    assert "299 wallets are too few" in run.stderr
    assert "--development-cohort" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_bad_folder_is_refused_by_name(tmp_path: Path) -> None:
    run = demo(tmp_path, "--data", str(tmp_path))

    assert run.returncode != 0
    assert "no schema.json" in run.stderr
    assert "Traceback" not in run.stderr
