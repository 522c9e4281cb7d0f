"""The founding example at a tiny scale: stopped in the middle by Ctrl-C, killed, and finished by the same command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.stack.small import ROOT, until

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(900)]
WALLETS, VISITS, COHORT = 24, 96, 12


class Command:
    """`manage.py seed_example` on a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CSSI_", "DJANGO_", "PYTEST_"))}
        self._environment = kept | {"CSSI_VAR": str(folder / "var")}

    def start(self) -> subprocess.Popen[bytes]:
        numbers = ("--wallets", str(WALLETS), "--visits", str(VISITS), "--cohort", str(COHORT))
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    sys.executable,
                    "manage.py",
                    "seed_example",
                    *numbers,
                    "--development",
                    "--report",
                    str(self.folder / "report"),
                ],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def book(self) -> dict[str, Any]:
        path = self.folder / "var" / "seed-example.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    @property
    def said(self) -> str:
        return (self.folder / "log").read_text()


def test_it_goes_on_after_ctrl_c_and_after_a_kill_and_ends_exact_to_the_last_unit(tmp_path: Path) -> None:
    command = Command(tmp_path)
    first = command.start()
    until(
        lambda: command.book().get("phases", {}).get("wallets", {}).get("done"), seconds=240, what="wallets"
    )
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 130
    second = command.start()
    until(lambda: any(visits for visits, _ in command.book()["points"]), seconds=400, what="a round")
    second.kill()
    second.wait(10)
    time.sleep(3)  # what it started dies with it
    third = command.start()
    assert third.wait(500) == 0, command.said[-3000:]
    figures = json.loads((tmp_path / "report" / "seed-example.json").read_text())
    assert figures["ok"], figures["checks"]
    assert figures["visits"] == VISITS
    assert figures["spent"] == figures["paid"] == str(VISITS * 5 * 10**15)
    assert figures["refunded"] == "0"
    assert figures["ledger_equals_chain"]
    assert figures["starts"] == 3
