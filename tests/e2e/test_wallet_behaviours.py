"""What happens to a wallet in a tab in real life, in a real Chromium with nothing switched off: hidden, frozen, without network, without a
server, with a wrong clock, beside a second tab, with its storage taken away, and before servers that ask too much or talk nonsense.
Each time the wallet does the right thing and the page says so in a sentence.

Three tabs with wallets of their own, made by the pages, against the scripted servers and the protocol's own server core.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketplace.demo.chromium import Chromium, Window, installed
from marketplace.demo.tabs import Tab
from tests.e2e.looking import AXE, RULES
from tests.e2e.site import Loop, Site, started
from tests.unit.agent import documents, rounds
from tests.unit.agent.rounds import Round
from wallets.agent import server
from wallets.agent.refusals import SENTENCES, Refusal

pytestmark = [pytest.mark.e2e, pytest.mark.long]
TABS = 3
RECORDS = [{"height": i + 0.5, "weight": 9.5 - i, "ill": i % 2 == 0} for i in range(TABS)]
CONNECTED = "Connected. Ready for the next round."
SECONDS = 60
ASLEEP_SECONDS = 80
SEEN_BY_AXE = (
    "async (rules) => {"
    + AXE
    + "\n return (await axe.run(document, {runOnly: rules})).violations.map((one) => one.id); }"
)


class Scene:
    """The tabs, their servers, and the next round of their job."""

    def __init__(self, loop: Loop, site: Site, tabs: list[Tab]) -> None:
        self.loop, self.site, self.tabs = loop, site, tabs
        self.number = 0
        self.make: Callable[[int], Round] | None = None

    def round(self) -> Round:
        if self.make is None:
            self.make = self.loop(self.site.enrolled())
        self.number += 1
        return self.make(self.number)

    def check_a_round(self) -> None:
        """All tabs are in it, and the sum is theirs."""
        done = self.loop(self.round().run(seconds=SECONDS))
        assert done.count == TABS
        updates = [tab.happened("update", round=self.number) for tab in self.tabs]
        assert np.array_equal(done.sum, np.sum([np.array(one["update"]) for (one,) in updates], axis=0))

    def all_connected(self) -> None:
        for tab in self.tabs:
            tab.page("now", CONNECTED)
        self.loop(self.site.bound(2 * TABS))

    def cut_lines(self) -> None:
        for line in list(self.site.lines):
            self.loop(line.send({"t": "future", "b": bytes(70_000)}))

    def last_line(self) -> Any:
        return self.site.lines[-1]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    path = installed()
    if path is None:
        pytest.skip("no Chromium on this machine; install the package chromium")
    folder = tmp_path_factory.mktemp("browser")
    made = Chromium(path, profile=folder / "profile", log=folder / "log")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def scene(browser: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    loop = Loop()
    site = loop(started(bucket_min=TABS, release_min=TABS))
    patch = pytest.MonkeyPatch()
    patch.setattr(rounds, "QUIET_SECONDS", 30.0)  # a busy machine is not a silent wallet
    folder = tmp_path_factory.mktemp("tabs")
    tabs = [Tab(Window(browser, downloads=folder / str(n)), site.url) for n in range(TABS)]
    for tab, record in zip(tabs, RECORDS, strict=True):
        tab.create()
        tab.import_data(record, site.collective.id)
        join(loop, site, tab)
    made = Scene(loop, site, tabs)
    made.all_connected()
    yield made
    patch.undo()
    loop(site.stop())
    loop.end()


def join(loop: Loop, site: Site, tab: Tab) -> None:
    """Pair, and take up the offer that was confirmed on the web."""
    tab.pair(f"cssi://pair?url={site.url}&code=abcd&pin={server.pin_of(site.description())}")
    mailbox = bytes.fromhex(site.posted["wallets/pair"][-1]["mailbox_key"])
    loop(site.until(lambda: any(mailbox in line.keys for line in site.lines), SECONDS))
    offer = {"version": 1, "collective_id": site.collective.id, "terms": site.collective.terms_envelope}
    loop(site.mail(mailbox, "offer", {**offer, "offer_ref": "ref", "reply_url": ""}))
    tab.shows("Your visits")


def hidden(tab: Tab) -> bool:
    return bool(tab.window.evaluate("() => document.hidden"))


def in_front(window: Window) -> None:
    window.browser.send("Target.activateTarget", targetId=window.target)


def test_a_hidden_tab_takes_part_as_before(scene: Scene, browser: Chromium, tmp_path: Path) -> None:
    scene.tabs[0].shows("another tab in front does no harm")
    others = [Window(browser, downloads=tmp_path, beside=tab.window) for tab in scene.tabs]
    try:
        for other in others:
            in_front(other)
        assert [hidden(tab) for tab in scene.tabs] == [True] * TABS
        scene.check_a_round()
    finally:
        for other in others:
            other.close()
    assert scene.tabs[0].entries()[-1]["code"] == "released"
    scene.tabs[0].page("now", f"Your wallet took part in round {scene.number} of")
    scene.tabs[0].shows("earned 0.005.")
    assert scene.tabs[0].window.evaluate(SEEN_BY_AXE, RULES) == []


def test_a_frozen_tab_answers_nobody_and_says_so_when_it_is_back(scene: Scene) -> None:
    tab, (line,) = scene.tabs[0], [one for one in scene.site.lines if one.keys & keys_of(scene, 0)]
    tab.window.send("Page.setWebLifecycleState", state="frozen")
    try:
        unanswered = {"t": "pong", "n": first_without_answer(scene, line)}
        time.sleep(ASLEEP_SECONDS)
        assert unanswered not in scene.site.frames, "the heartbeat tells a frozen tab"
    finally:
        tab.window.send("Page.setWebLifecycleState", state="active")
    tab.shows("This tab was stopped for")
    tab.shows("Your wallet answered nobody meanwhile; it goes on now.")
    scene.all_connected()
    assert line not in scene.site.lines, "an old line is not trusted after a sleep"
    scene.check_a_round()


def first_without_answer(scene: Scene, line: Any) -> int:
    """The number of the first ping that is not answered: a browser takes its time to freeze a worker."""
    for number in range(70, 100):
        scene.loop(line.send({"t": "ping", "n": number}))
        time.sleep(2)
        if {"t": "pong", "n": number} not in scene.site.frames:
            return number
    raise AssertionError("the tab answers as before, so it is not frozen")


def keys_of(scene: Scene, number: int) -> set[bytes]:
    """What a tab is reached by: its subscription, as the servers know it."""
    named = scene.tabs[number].inside("async () => [...self.agentHere.routes.keys()]")
    return {bytes.fromhex(key) for key in named}


def test_without_network_the_wallet_waits_and_says_why(scene: Scene) -> None:
    tab, port = scene.tabs[0], scene.site.port
    offline(tab, True)
    # The browser says that there is no network; that nothing is reached any more, we see to.
    scene.loop(scene.site.stop())
    tab.page("now", "Not connected.")
    tab.shows("This machine has no network. Your wallet goes on by itself when it is back.")
    scene.loop(scene.site.serve(port))
    offline(tab, False)
    scene.all_connected()
    scene.check_a_round()


def offline(tab: Tab, there_is_none: bool) -> None:
    how = {"offline": there_is_none, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    tab.window.send("Network.enable")
    tab.window.send("Network.overrideNetworkState", **how)


def test_a_server_that_restarts_is_found_again(scene: Scene) -> None:
    port = scene.site.port
    scene.loop(scene.site.stop())
    for tab in scene.tabs:
        tab.page("now", "The server does not answer. Your wallet tries again by itself; nothing is lost.")
    scene.loop(scene.site.serve(port))
    scene.all_connected()
    scene.check_a_round()


def test_a_wrong_clock_is_named_and_nothing_is_said_to_the_server(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = documents.now
    monkeypatch.setattr(documents, "now", lambda: right() - 1000)
    frames = len(scene.site.frames)
    scene.cut_lines()
    tab = scene.tabs[0]
    tab.page("now", SENTENCES[Refusal.CLOCK_SKEW])
    tab.shows("Set the clock of this machine; your wallet then goes on by itself.")
    assert len(scene.site.frames) == frames
    tab.page("journal", SENTENCES[Refusal.CLOCK_SKEW])
    monkeypatch.undo()
    scene.all_connected()


def test_a_model_that_is_too_large_is_declined_before_anything_is_proven(scene: Scene) -> None:
    asked = scene.round()
    asked.header = replace(asked.header, d=(1 << 17) + 1)
    answers = scene.loop(asked.invite_only())
    assert [(one["t"], one["code"]) for one in answers] == [("decline", "no")] * TABS
    for tab in scene.tabs:
        tab.page("journal", SENTENCES[Refusal.MODEL_TOO_LARGE])
    scene.check_a_round()


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        ({"t": "invite", "id": bytes(16)}, Refusal.MALFORMED_FRAME),
        ({"t": 5}, Refusal.MALFORMED_FRAME),
        ({"t": "future", "b": bytes(70_000)}, Refusal.HUGE_FRAME),
    ],
)
def test_frames_that_are_none_are_named_and_the_wallet_goes_on(
    scene: Scene, frame: dict[str, Any], named: Refusal
) -> None:
    for line in list(scene.site.lines):
        scene.loop(line.send(frame))
    for tab in scene.tabs:
        tab.page("journal", SENTENCES[named])
    scene.all_connected()
    scene.check_a_round()


def test_a_second_tab_is_told_where_the_wallet_is_open(
    scene: Scene, browser: Chromium, tmp_path: Path
) -> None:
    second = Tab(Window(browser, downloads=tmp_path, beside=scene.tabs[0].window), scene.site.url)
    second.window.go(f"{scene.site.url}/wallet-app/")
    second.shows("Your wallet is open in another tab")
    second.shows("Go on there, or close that tab and try again.")
    assert scene.tabs[0].permits() == [scene.site.collective.id]
    second.window.close()
    scene.check_a_round()


def test_a_tab_that_nobody_touches_locks_itself_and_answers_nobody(scene: Scene) -> None:
    """A minute by the browser's own clock; what the page and the rounds do by themselves is nobody's touch."""
    tab = scene.tabs[0]
    (line,) = [one for one in scene.site.lines if one.keys & keys_of(scene, 0)]
    minutes = "Lock after so many minutes without me"
    tab.page("safety", minutes)
    tab.fill(minutes, "1")
    tab.click("Save settings")
    tab.shows("Saved.")
    touched = time.monotonic()
    tab.page("now", CONNECTED)
    scene.check_a_round()
    assert tab.showing(CONNECTED), "it takes part meanwhile"
    tab.shows("Unlock")
    assert 45 < time.monotonic() - touched < 120
    assert not tab.showing("Your visits")
    scene.loop(scene.site.until(lambda: line not in scene.site.lines, SECONDS))
    assert tab.window.evaluate("() => document.activeElement.tagName") == "H1", (
        "the keyboard stands at what is new"
    )

    tab.unlock()
    tab.page("safety", minutes)
    tab.fill(minutes, "720")
    tab.click("Save settings")
    tab.shows("Saved.")
    scene.all_connected()
    scene.check_a_round()


def test_a_wallet_whose_storage_the_browser_took_says_so_and_comes_back_from_its_backup(scene: Scene) -> None:
    tab = scene.tabs[-1]
    tab.window.send("Storage.clearDataForOrigin", origin=scene.site.url, storageTypes="all")
    tab.shows("This browser has deleted what your wallet kept here")
    tab.shows("Create a wallet")
    tab.shows("Your backup brings it back.")
    tab.restore()
    tab.page("journal", "Restored from a backup")
