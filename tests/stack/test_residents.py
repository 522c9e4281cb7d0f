"""`make run` as a newcomer meets it: sign in with a printed log-in, order a job, and see wallets of this machine do it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.stack.small import Browser, Serve, stack_environment, until

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
        job = order(consumer)
        until(lambda: state(consumer, job)["status"] == "settled", seconds=120, what="the job to be paid")
        over = state(consumer, job)
        site.stop()
        site.start(*arguments)
        assert connected in site.said
    finally:
        if site.process is not None:
            site.stop()

    assert over["rounds_done"] == 1
    assert over["visits"]["earned"] >= 20


def order(consumer: Browser) -> str:
    collective = consumer.get("/api/v1/collectives").json()["results"][0]
    card = consumer.get(f"/api/v1/collectives/{collective['id']}").json()
    body = {
        "collective_id": collective["id"],
        "manifest_hash": card["algorithms"][0]["manifest_hash"],
        "budget": str(200 * int(collective["rate"])),
        "max_rounds": 1,
    }
    made = consumer.api("jobs", body).json()
    assert consumer.api(f"jobs/{made['job_id']}/fund").status_code == 200
    return str(made["job_id"])


def state(consumer: Browser, job: str) -> dict[str, Any]:
    return dict(consumer.get(f"/api/v1/jobs/{job}").json())
