"""Tabs of a real Chromium beside the twelve Python agents on the real servers: one job in which in every phase an agent and a tab fall
silent, tabs are reloaded in the middle of a round, and one revokes there. Every sum that was released is the plain sum.

The servers of rounds have addresses of their own here, so the tabs reach them across origins, as where the roles stand apart.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketplace.demo.chromium import installed
from marketplace.demo.tabs import Tab, TabHost
from tests.stack.small import BUCKET_MIN, RATE, WALLETS, Browser, SmallStack, until

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(880)]
TABS = 3
RECORDS = [
    {"age": 33, "hours": 7.5, "rested": True},
    {"age": 71, "hours": 5.25, "rested": False},
    {"age": 48, "hours": 8, "rested": True},
]
SILENT_AFTER = ("joined", "advertise", "share_keys", "masked_input", "consistency")
"""In round n + 2 an agent and a tab do this and then nothing: so each of the five phases misses both once."""
IN_THE_SUM = {"masked_input", "consistency", "unmask"}
REVOKED_AFTER = "advertise"
ROUNDS = 2 + len(SILENT_AFTER)
PHASES = {"advertise": 30, "share_keys": 15, "masked_input": 15, "consistency": 15, "unmask": 15}
_AT_STEP = """(round, step, what, collective) => {
  self.atStep = async (agent, name, seen) => {
    if (name !== "step" || seen.round !== round || seen.step !== step) return;
    if (what === "close") { self.close(); return; }
    // Until the permit is gone nothing more leaves, so that it is always this step after which it went.
    const {permit} = agent, later = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });
    agent.permit = async (id) => {
      for (;;) {
        if (!await permit.call(agent, id)) return null;
        await later(10);
      }
    };
    const {revoke} = await import("/wallet-app/membership.js");
    await revoke(agent, collective);
  };
}"""


@pytest.fixture(scope="module")
def tabs(
    small_stack: SmallStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TabHost, list[str]]]:
    if installed() is None:
        pytest.skip("no Chromium on this machine; install the package chromium")
    folder = tmp_path_factory.mktemp("tabs")
    host = TabHost(TABS, site=small_stack.url, folder=folder, log=folder / "browser.log")
    try:
        people = small_stack.inside.people(count=TABS, start=100)
        names = host.create(RECORDS)
        host.import_data(small_stack.collective)
        for name, email in zip(names, people, strict=True):
            subscribe(small_stack, host.tabs[name], email)
        until(
            lambda: {link(small_stack, email)["collective"] for email in people} == {"active"},
            seconds=60,
            what="the tabs to subscribe",
        )
        yield host, people
    finally:
        host.stop()


def subscribe(small_stack: SmallStack, tab: Tab, email: str) -> None:
    """As a person does it: pair on the web, link into the wallet, Subscribe on the consent page."""
    browser = Browser(small_stack.url, email)
    found = re.search(r"cssi://pair\?[^\"<\s]+", browser.post("/wallet/pair/").text)
    assert found is not None
    tab.pair(found[0].replace("&amp;", "&"))
    consent = f"/wallet/subscribe/{small_stack.collective}/"
    wallet = re.search(r'name="wallet"[^>]*value="([^"]+)"', browser.get(consent).text)
    assert browser.post(consent, **({"wallet": wallet[1]} if wallet else {})).status_code == 200


def link(small_stack: SmallStack, email: str) -> dict[str, Any]:
    return dict(small_stack.inside.link(email=email, collective=small_stack.collective))


def victim(number: int) -> int:
    """Which tab falls silent in a round."""
    return number % 2


def test_a_job_of_tabs_and_agents_with_dropouts_reloads_and_a_revocation(
    small_stack: SmallStack, tabs: tuple[TabHost, list[str]], tmp_path: Path
) -> None:
    host, people = tabs
    made = list(host.tabs.values())
    everyone = WALLETS + TABS
    for number, step in enumerate(SILENT_AFTER, 2):
        small_stack.fault("die", round=number, wallets=[number], after=step)
    arm(made[victim(2)], 2, "close")
    arm(made[victim(3)], 3, "close")
    arm(made[-1], ROUNDS, "revoke", small_stack.collective)
    job = small_stack.order(
        budget=20 * everyone * RATE,
        max_rounds=ROUNDS,
        phase_seconds=PHASES,
        cohort=everyone,
        bucket_size=everyone,
        accept_seconds=12,
    )
    for number in range(2, ROUNDS):
        wait_for_silence(made[victim(number)], number)
        ask(small_stack, job, "pause")  # no round begins before this tab is back, however slow the machine is
        back(made[victim(number)])
        if number + 2 < ROUNDS:
            arm(made[victim(number)], number + 2, "close")
        ask(small_stack, job, "resume")
    told = small_stack.until_closed(job, seconds=300)

    assert "completed" in told["transitions"], told
    spied = spies(small_stack, host, job, tmp_path)
    posted = [one for one in told["checkpoints"] if one["number"] > 0]
    assert len(posted) == ROUNDS
    for checkpoint in posted:
        check_sum(checkpoint, spied[checkpoint["number"]])
    for number, step in enumerate(SILENT_AFTER, 2):
        steps = steps_of(made[victim(number)], number)
        assert steps[-1] == step
        assert [f["suffered"] for f in small_stack.suffered() if (f["round"], f["kind"]) == (number, "die")][
            -1:
        ] == [[number]]
        assert (step in IN_THE_SUM) == bool(IN_THE_SUM & set(steps))
    assert steps_of(made[-1], ROUNDS)[-1] == REVOKED_AFTER, "something left after the revocation"
    check_the_revoked(small_stack, host, people)
    check_the_books(small_stack, host, people)


def wait_for_silence(tab: Tab, number: int) -> None:
    until(
        lambda: tab.happened("step", round=number, step=SILENT_AFTER[number - 2]),
        seconds=180,
        what=f"a tab in round {number}",
    )


def back(tab: Tab) -> None:
    """Reloaded, unlocked, and on the line again."""
    before = len(tab.happened("connected"))
    tab.open_again()
    until(lambda: len(tab.happened("connected")) > before, seconds=60, what="a tab to be back")


def ask(small_stack: SmallStack, job: str, what: str) -> None:
    answer = small_stack.carla.api(f"jobs/{job}/{what}")
    assert answer.status_code == 200, answer.text


def arm(tab: Tab, number: int, what: str, collective: str = "") -> None:
    """From its next step of that kind on this tab is gone, or has revoked."""
    step = REVOKED_AFTER if what == "revoke" else SILENT_AFTER[number - 2]
    tab.inside(_AT_STEP, number, step, what, collective)


def spies(small_stack: SmallStack, host: TabHost, job: str, folder: Path) -> dict[int, dict[str, Any]]:
    """By round and wallet: its steps, and what it was about to mask."""
    path = folder / "spy.json"
    small_stack.hosts.all[0].call("spy", path=str(path))
    found: dict[int, dict[str, Any]] = {}
    for entry in [*json.loads(path.read_text()), *host.spied()]:
        if entry["job"] == job:
            for name, seen in entry["wallets"].items():
                vector = np.frombuffer(base64.b64decode(seen["vector"]), dtype="<i8")
                found.setdefault(entry["round"], {})[name] = (seen["steps"], vector)
    return found


def check_sum(checkpoint: dict[str, Any], spied: dict[str, Any]) -> None:
    inside = [vector for steps, vector in spied.values() if "masked_input" in steps]
    assert len(inside) == checkpoint["wallets"] >= BUCKET_MIN
    mean = np.sum(inside, axis=0).astype(np.float64) / (float(1 << 16) * len(inside))
    assert hashlib.sha256(mean.astype("<f8").tobytes()).hexdigest() == checkpoint["aggregate_hash"]


def steps_of(tab: Tab, number: int) -> list[str]:
    return [event["step"] for event in tab.happened("step", round=number)]


def check_the_revoked(small_stack: SmallStack, host: TabHost, people: list[str]) -> None:
    assert host.call("permits", wallet="tab-2")["permits"] == []
    until(
        lambda: link(small_stack, people[2])["collective"] == "revoked",
        seconds=30,
        what="the servers to hear",
    )
    assert link(small_stack, people[2])["ended_by"] == "wallet"


def check_the_books(small_stack: SmallStack, host: TabHost, people: list[str]) -> None:
    """Whoever proved presence was paid, also whose tab was closed in the same breath; two of three keep an unbroken journal to the end."""
    paid = small_stack.inside.paid(emails=people)
    for name, email in zip(host.tabs, people, strict=True):
        book = host.call("visits", wallet=name, kinds=["visit", "outcome"])["entries"]
        visits = [entry for entry in book if entry["kind"] == "visit"]
        assert visits
        # A tab that was closed between sending the proof and hearing of it does not know of that visit.
        assert 0 <= int(paid[email]) - len(visits) * RATE <= RATE * len(SILENT_AFTER)
        assert sum(entry["code"] == "released" for entry in book) >= 2
