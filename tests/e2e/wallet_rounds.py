"""Tabs of a real Chromium take part in rounds of the protocol's own server core: sums to the bit, a reload in between, a revocation.

Run by name; it becomes part of the suite under a name that begins with test_ once it was seen to pass on a quiet machine.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from aggregation.wire import signing
from tests.e2e.tab import POLICY, answer, ask, opened, settled
from tests.unit.agent import documents
from tests.unit.agent.rounds import Round
from tests.unit.agent.world import World

pytestmark = pytest.mark.e2e
TABS = 3
RECORDS = [{"height": i + 0.5, "weight": 9.5 - i, "ill": i % 2 == 0} for i in range(TABS)]


class Site(World):
    """The scripted servers, and the wallet's own files beside them, so that everything has one origin as in the market."""

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        found = answer(scope["path"]) if scope["method"] == "GET" else None
        if found is None:
            await super()._http(scope, receive, send)
            return
        kind, body = found
        headers = [(b"content-type", kind.encode()), (b"content-security-policy", POLICY.encode())]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Loop:
    """The servers' own thread: Playwright has this one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __call__(self, work: Coroutine[Any, Any, Any], seconds: float = 60) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.end()


@pytest.fixture
def site(loop: Loop) -> Iterator[Site]:
    async def serve() -> Site:
        return await Site(development=True, bucket_min=TABS, release_min=TABS).__aenter__()  # type: ignore[return-value]

    made = loop(serve())
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
    loop(bound(site))
    yield made
    context.close()


async def bound(site: Site) -> None:
    await site.until(lambda: sum(len(line.keys) for line in site.lines) == TABS, 30)


async def said_hello(site: Site, times: int) -> None:
    await site.until(lambda: [frame["t"] for frame in site.frames].count("hello") >= times, 30)


async def enrolled(site: Site) -> Callable[[int], Round]:
    job = site.collective.job(
        documents.now(),
        distributor_key=signing.public_key(site.distributor_key).hex(),
        aggregator_key=signing.public_key(site.aggregator_key).hex(),
    )
    enrolments = await site.enrol_all(job)
    log = await site.freeze(job["document"]["job_id"], enrolments)
    return lambda number: Round(
        site, job_id=job["document"]["job_id"], number=number, log=log, enrolments=enrolments
    )


def total(tabs: list[Page], number: int) -> np.ndarray[Any, Any]:
    sums = np.zeros(3, np.int64)
    for page in tabs:
        (update,) = [one["update"] for one in ask(page, "updates") if one["round"] == number]
        sums += np.array(update)
    return sums


def test_tabs_sum_bit_for_bit_also_after_a_reload(tabs: list[Page], site: Site, loop: Loop) -> None:
    make = loop(enrolled(site))
    done = loop(make(1).run())
    assert done.count == TABS
    assert np.array_equal(done.sum, total(tabs, 1))

    page = tabs[0]
    opened(page, site.url, "agent")
    settled(page, "unlock", None, store="wallet0")
    ask(page, "run")
    loop(said_hello(site, TABS + 1))
    loop(bound(site))
    again = loop(make(2).run())
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

    key = [key.hex() for key in site.subscribers]
    assert ask(tabs[1], "revoke", collective=site.collective.id)["erased"] is True
    assert len(site.subscribers) == TABS - 1
    answers = [one["t"] for one in loop(invited(make(3), key))]
    assert sorted(answers) == ["accept"] * (TABS - 1) + ["decline"]


async def invited(round_: Round, keys: list[str]) -> list[dict[str, Any]]:
    assert len(keys) == TABS
    return await round_.invite_only()
