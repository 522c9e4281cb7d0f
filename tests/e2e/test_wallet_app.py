"""The wallet in a tab, from the market's own site: made, backed up, filled, subscribed and revoked by mouse, looked at by axe on each
screen, with every request watched, and its profile folder read for the values that were entered.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from marketplace.browser_wallet import fingerprints
from marketplace.individuals.server_description import subscription_link
from tests.apps.cast import World
from tests.e2e.conftest import FLAGS, apart, chromium
from tests.e2e.looking import check_screen, picture_of

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True, databases=["default", "distributor"])]
PASSPHRASE = "correct horse battery"
HOURS = "7.8125"  # found nowhere else; also in binary
SECONDS = 30_000


class Tab:
    """One browser with a profile folder of its own, and what it asked the network for."""

    def __init__(self, browser: Browser, folder: Path, url: str, *, width: int, scheme: Any) -> None:
        self.folder, self.url, self.name = folder, url, f"{scheme}-{width}"
        self.context = browser.browser_type.launch_persistent_context(
            str(folder / "profile"),
            executable_path=chromium(),
            args=FLAGS,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            reduced_motion="reduce",
            accept_downloads=True,
        )
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.page = self.opened()

    def opened(self) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(SECONDS)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", self._heard)
        page.on("websocket", lambda socket: self.asked.append(socket.url))
        return page

    def _heard(self, message: Any) -> None:
        # The site in this process answers requests only: the wallet's socket is refused, and tried again.
        expected = ("status of 4", "WebSocket connection to")
        if message.type == "error" and not any(part in message.text for part in expected):
            self.wrong.append(message.text)

    def go(self, name: str) -> None:
        self.page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        self.heading({"About": "About this wallet"}.get(name, name))

    def heading(self, text: str) -> None:
        expect(self.page.get_by_role("heading", level=1)).to_have_text(text, timeout=SECONDS)

    def click(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def said(self, text: str) -> None:
        expect(self.page.get_by_role("status")).to_contain_text(text, timeout=SECONDS)

    def check(self, what: str) -> None:
        """No violation and no sideways scrolling on the screen as it is now."""
        check_screen(self.page, what, self.name)

    def create(self) -> Path:
        """Passphrase, recovery code, backup; returns the backup's file."""
        self.heading("A wallet in this browser")
        self.check("create")
        self.page.get_by_label("Passphrase", exact=True).first.fill(PASSPHRASE)
        self.page.get_by_label("The same again").fill(PASSPHRASE)
        self.click("Create my wallet")
        self.heading("First, so that you never lose it")
        self.check("secure")
        code = self.page.locator(".big-code").inner_text()
        with self.page.expect_download() as started:
            self.click("Save the backup")
        kept = self.folder / "kept.cssi-backup"
        started.value.save_as(kept)
        self.page.get_by_label("The first five characters").fill("wrong")
        self.page.get_by_label("The backup file you saved").set_input_files(kept)
        self.click("Check, and go to my wallet")
        self.said("not the first five characters")
        self.page.get_by_label("The first five characters").fill(code[:5])
        self.click("Check, and go to my wallet")
        self.heading("My data")
        return kept

    def files_with(self, part: bytes) -> list[str]:
        paths = [Path(top) / name for top, _, names in os.walk(self.folder / "profile") for name in names]
        return [path.name for path in paths if path.is_file() and part in path.read_bytes()]


@pytest.fixture(params=[("light", 1280), ("dark", 360)], ids=["light wide", "dark narrow"])
def tab(
    request: Any, browser: Browser, tmp_path: Path, world: World, live_server: Any, settings: Any
) -> Iterator[Tab]:
    scheme, width = request.param
    settings.AGGREGATOR_URL = live_server.url
    made = Tab(browser, tmp_path, live_server.url, width=width, scheme=scheme)
    yield made
    made.context.close()


def tells_what_differs(tab: Tab) -> None:
    """The page says plainly what it cannot protect from, and names a file that came with one byte more."""
    page = tab.page
    expect(page.get_by_role("heading", name="What it cannot protect you from")).to_be_visible()
    expect(
        page.get_by_text("Nothing in a browser protects you from the server that sends the scripts")
    ).to_be_visible()
    listed = page.evaluate("async () => (await (await fetch('files.json')).json()).release")
    assert listed == fingerprints()["release"]
    expect(page.locator(".big-code")).to_have_text(listed)

    def longer(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.body() + b" ")

    page.route("**/wallet-app/machine.js", longer)
    tab.click("Compare the files now")
    expect(page.get_by_text("These are not as listed: machine.js.")).to_be_visible()
    tab.said("Some files are not as listed.")
    page.unroute("**/wallet-app/machine.js")


def test_a_whole_life_in_one_tab(tab: Tab, world: World) -> None:
    page, collective = tab.page, str(world.collective.pk)
    page.goto(f"{tab.url}/wallet-app/#collective={collective}")
    tab.create()
    expect(page.get_by_role("heading", name="Sleep well")).to_be_visible()
    expect(page.get_by_text("Still missing for Sleep well:")).to_be_visible()
    tab.check("data-missing")
    page.get_by_label("Age in years").fill("41")
    page.get_by_label("Hours of sleep").fill(HOURS)
    page.get_by_label("Rested in the morning").select_option("true")
    tab.click("Check and save")
    expect(page.get_by_text("Everything it asks for is here.")).to_be_visible()
    tab.check("data-complete")

    tab.go("Now")
    tab.check("now-empty")
    link = apart(lambda: subscription_link(world.collective.pk))
    with page.expect_file_chooser() as chooser:
        tab.click("Read it from a picture")
    chooser.value.set_files(picture_of(link))
    tab.said("The code was read")
    expect(page.get_by_label("Link or id of the collective")).to_have_value(link)
    tab.click("Review its terms")
    expect(page.get_by_text("You earn 0.005 ")).to_be_visible()
    tab.check("review")
    tab.click("Go on to the question")
    consent = page.locator(".consent")
    expect(consent.get_by_role("heading")).to_have_text("Subscribe to Sleep well?")
    boxes = [consent.get_by_role("button", name=name).bounding_box() for name in ("Subscribe", "Not now")]
    assert all(boxes)
    sizes = [(round(box["width"]), round(box["height"])) for box in boxes if box]
    assert sizes[0] == sizes[1]
    tab.check("consent")
    tab.click("Not now")
    expect(consent).to_have_count(0)
    tab.said("Not subscribed to Sleep well.")
    assert apart(lambda: world.collective.subscriptions.count()) == 0

    tab.click("Review its terms")
    tab.click("Go on to the question")
    tab.click("Subscribe")
    tab.said("Subscribed.")
    assert apart(lambda: world.collective.subscriptions.count()) == 1
    for name in ("Permits", "Notices", "Journal", "Earnings", "Privacy", "Backup", "About"):
        tab.go(name)
        tab.check(name.lower())
    tab.click("Compare the files now")
    tab.said("All files are as listed.")
    tells_what_differs(tab)

    tab.go("Permits")
    tab.click("Delete now")
    tab.click("Delete now")
    tab.said("The permit for Sleep well was deleted")
    expect(page.get_by_text("Nobody may learn from your data.")).to_be_visible()
    assert apart(lambda: world.collective.subscriptions.filter(revoked_at__isnull=True).count()) == 0

    other = tab.opened()
    other.goto(f"{tab.url}/wallet-app/")
    expect(other.get_by_role("heading", level=1)).to_have_text("Your wallet is open in another tab")
    other.close()

    tab.click("Lock")
    tab.heading("Locked")
    tab.check("locked")
    tab.context.close()
    assert tab.wrong == []
    here = re.compile(
        rf"^(?:{re.escape(tab.url)}/|{re.escape(tab.url.replace('http', 'ws', 1))}/|blob:{re.escape(tab.url)}/|data:)"
    )
    assert [url for url in tab.asked if not here.match(url)] == []
    assert list(
        (tab.folder / "profile").rglob("*.indexeddb.leveldb")
    )  # it is this folder that the browser wrote
    assert tab.files_with(HOURS.encode()) == []
