"""`make run` as a newcomer meets it: sign in with a printed log-in, order a job, and see wallets of this machine do it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stack.small import ROOT, Browser, Serve, stack_environment, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(280)]
RESIDENTS = 24


def test_an_order_on_the_demo_site_runs_and_the_residents_are_there_after_a_restart(tmp_path: Path) -> None:
    environment = stack_environment(tmp_path, CSSI_DEVELOPMENT_MINIMA="False")
    site = Serve(environment)
    arguments = ("--demo-data", "--residents", str(RESIDENTS))
    connected = f"{RESIDENTS} residents (generated people) have their wallets connected"
    try:
        site.start(*arguments)
        assert connected in site.said
        password = re.search(r"consumer@demo\.example\s+(\S+)", site.said)
        assert password is not None
        url = f"http://127.0.0.1:{environment['CSSI_PORT']}"
        consumer = Browser(url, "consumer@demo.example", password[1])
        said = first_order(consumer, url)
        (job,) = (row["job_id"] for row in consumer.get("/api/v1/jobs").json()["results"])
        until(lambda: state(consumer, job)["status"] == "settled", seconds=120, what="the job to be paid")
        over = state(consumer, job)
        site.stop()
        site.start(*arguments)
        assert connected in site.said
    finally:
        if site.process is not None:
            site.stop()

    assert re.search(r"weights of “.*” after round 1, from [0-9]+ wallets", said)
    assert "1 rounds, " in said
    assert over["rounds_done"] == 1
    assert over["visits"]["earned"] >= 20


def first_order(consumer: Browser, url: str) -> str:
    """The notebook of the documentation, as a consumer runs it with a token of their own; what it printed."""
    page = consumer.post("/account/tokens/", label="notebook").text
    token = re.search(r"cssi_[A-Za-z0-9_-]{43}", page)
    assert token is not None
    environment = {"CSSI_MARKET": url, "CSSI_TOKEN": token[0], "CSSI_SECONDS": "120", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "docs/examples/first_order.py"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def state(consumer: Browser, job: str) -> dict[str, Any]:
    return dict(consumer.get(f"/api/v1/jobs/{job}").json())
