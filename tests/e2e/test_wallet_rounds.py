"""Tabs of a real Chromium take part in rounds of the protocol's own server core: sums to the bit, a reload in between, a revocation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.site import Loop, Site, started
from tests.e2e.tab import ask, opened, settled
from tests.unit.agent import documents, rounds

pytestmark = [pytest.mark.e2e, pytest.mark.long]
TABS = 3
RECORDS = [{"height": i + 0.5, "weight": 9.5 - i, "ill": i % 2 == 0} for i in range(TABS)]


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.end()


@pytest.fixture
def site(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    # A busy machine is not a silent wallet: phases close when all have answered.
    monkeypatch.setattr(rounds, "QUIET_SECONDS", 30.0)
    made = loop(started(bucket_min=TABS, release_min=TABS))
    yield made
    loop(made.stop())


@pytest.fixture
def tabs(browser: Browser, site: Site, loop: Loop) -> Iterator[list[Page]]:
    context = browser.new_context()
    made = [opened(context.new_page(), site.url, "agent") for _ in range(TABS)]
    for number, (page, record) in enumerate(zip(made, RECORDS, strict=True)):
        assert ask(page, "create", store=f"wallet{number}", record=record, url=site.url) is None
        ask(page, "run")
        assert len(ask(page, "subscribe", collective=site.collective.id)) == 64
    loop(site.bound(TABS))
    yield made
    context.close()


async def said_hello(site: Site, times: int) -> None:
    await site.until(lambda: [frame["t"] for frame in site.frames].count("hello") >= times, 30)


def total(tabs: list[Page], number: int) -> np.ndarray[Any, Any]:
    sums = np.zeros(3, np.int64)
    for page in tabs:
        (update,) = [one["update"] for one in ask(page, "updates") if one["round"] == number]
        sums += np.array(update)
    return sums


def test_tabs_sum_bit_for_bit_also_after_a_reload(tabs: list[Page], site: Site, loop: Loop) -> None:
    make = loop(site.enrolled())
    done = loop(make(1).run(seconds=60))
    assert done.count == TABS
    assert np.array_equal(done.sum, total(tabs, 1))

    page = tabs[0]
    opened(page, site.url, "agent")
    settled(page, "unlock", None, store="wallet0")
    ask(page, "run")
    loop(said_hello(site, TABS + 1))
    loop(site.bound(TABS))
    again = loop(make(2).run(seconds=60))
    assert again.count == TABS
    assert np.array_equal(again.sum, total(tabs, 2))
    for page in tabs:
        settled(page, "ended", True, count=2)
        kept = ask(page, "journal")
        assert kept["broken"] is None
        ends = [(entry["kind"], entry["code"]) for entry in kept["entries"]]
        assert ends[-6:] == [("accepted", ""), ("visit", "receipt"), ("outcome", "released")] * 2
        assert [entry["amount"] for entry in kept["entries"] if entry["kind"] == "visit"] == [
            str(documents.RATE)
        ] * 2

    revoked = ask(tabs[1], "revoke", collective=site.collective.id)
    assert revoked["erased"] is True
    assert len(site.subscribers) == TABS - 1
    answers = loop(make(3).invite_only())
    assert sorted(one["t"] for one in answers) == ["accept"] * (TABS - 1) + ["decline"]
