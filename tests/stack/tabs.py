"""Wallets of the tab beside the Python agents on the real servers: paired and subscribed over the web, summed with them, paid, revoked.

Run by name; it becomes part of the suite under a name that begins with test_ once it was seen to pass on a quiet machine.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.stack.small import RATE, WALLETS, Browser, SmallStack, until
from tests.unit.tab.node import Script

pytestmark = [pytest.mark.stack, pytest.mark.timeout(280)]
TABS = 2
RECORDS = [{"age": 33, "hours": 7.5, "rested": True}, {"age": 71, "hours": 5.25, "rested": False}]


class Tabs:
    """A Node with agents, asked from a thread that has no event loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._script = Script("agent")
        self._wait(self._script.__aenter__())

    def ask(self, what: str, **arguments: Any) -> Any:
        return self._wait(self._script.ask(what, **arguments))

    def end(self) -> None:
        self._wait(self._script.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(90)


@pytest.fixture
def tabs(small_stack: SmallStack) -> Iterator[tuple[Tabs, list[str]]]:
    made, people = Tabs(), small_stack.inside.people(count=TABS, start=100)
    for number, (email, record) in enumerate(zip(people, RECORDS, strict=True)):
        made.ask("create", name=f"t{number}", record=record)
        browser = Browser(small_stack.url, email)
        found = re.search(r"cssi://pair\?[^\"<\s]+", browser.post("/wallet/pair/").text)
        assert found is not None
        assert isinstance(made.ask("pair", name=f"t{number}", link=found[0].replace("&amp;", "&")), str)
        made.ask("rule", name=f"t{number}", rule="confirmed-on-web")
        made.ask("run", name=f"t{number}")
        consent = f"/wallet/subscribe/{small_stack.collective}/"
        wallet = re.search(r'name="wallet"[^>]*value="([^"]+)"', browser.get(consent).text)
        assert browser.post(consent, **({"wallet": wallet[1]} if wallet else {})).status_code == 200
    until(
        lambda: {link(small_stack, email)["collective"] for email in people} == {"active"},
        seconds=60,
        what="tabs",
    )
    yield made, people
    made.end()


def link(small_stack: SmallStack, email: str) -> dict[str, Any]:
    return dict(small_stack.inside.link(email=email, collective=small_stack.collective))


def test_tabs_and_agents_are_summed_together_and_paid(
    small_stack: SmallStack, tabs: tuple[Tabs, list[str]]
) -> None:
    node, people = tabs
    everyone = WALLETS + TABS
    job = small_stack.order(budget=100 * RATE, max_rounds=1, cohort=everyone, bucket_size=everyone)
    told = small_stack.until_closed(job)
    (checkpoint,) = [one for one in told["checkpoints"] if one["number"] > 0]
    number = next(row["number"] for row in told["rounds"] if row["status"] == "posted")
    inside = agents_in(small_stack, job, number) + [
        np.array(one["update"], dtype=np.int64)
        for name in ("t0", "t1")
        for one in node.ask("updates", name=name)
        if one["round"] == number
    ]
    assert len(inside) == checkpoint["wallets"] > TABS, told
    mean = np.sum(inside, axis=0).astype(np.float64) / (float(1 << 16) * len(inside))
    assert hashlib.sha256(mean.astype("<f8").tobytes()).hexdigest() == checkpoint["aggregate_hash"]

    paid = small_stack.inside.paid(emails=people)
    for place, email in enumerate(people):
        kept = node.ask("journal", name=f"t{place}")
        assert kept["broken"] is None
        kinds = [(entry["kind"], entry["code"]) for entry in kept["entries"]]
        assert kinds[-3:] == [("accepted", ""), ("visit", "receipt"), ("outcome", "released")]
        assert int(paid[email]) == RATE
    (earned,) = node.ask("earnings", name="t0")
    assert int(earned["paid"]) == RATE

    revoked_in_the_tab_and_on_the_web(small_stack, node, people)


def agents_in(small_stack: SmallStack, job: str, number: int) -> list[np.ndarray[Any, Any]]:
    """What the Python agents in the sum were about to mask, as their spy saw it."""
    path = small_stack.folder / "spy-tabs.json"
    small_stack.hosts.all[0].call("spy", path=str(path))
    (entry,) = [one for one in json.loads(path.read_text()) if (one["job"], one["round"]) == (job, number)]
    seen = [one for one in entry["wallets"].values() if "masked_input" in one["steps"]]
    return [np.frombuffer(base64.b64decode(one["vector"]), dtype="<i8") for one in seen]


def revoked_in_the_tab_and_on_the_web(small_stack: SmallStack, node: Tabs, people: list[str]) -> None:
    done = node.ask("revoke", name="t0", collective=small_stack.collective)
    assert (done["erased"], done["told"]) == (True, True)
    until(lambda: link(small_stack, people[0])["collective"] == "revoked", seconds=30, what="the servers")
    assert link(small_stack, people[0])["ended_by"] == "wallet"

    browser = Browser(small_stack.url, people[1])
    browser.post(f"/wallet/subscriptions/{link(small_stack, people[1])['id']}/revoke/")
    node.ask("until", name="t1", event="revoked")
    assert "permit" not in node.ask("everything", name="t1")
