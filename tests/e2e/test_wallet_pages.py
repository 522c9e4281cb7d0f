"""The holder's own pages in a real Chromium: a whole life of a wallet by mouse and by keyboard, light and dark, wide and narrow.

The wallet, its agent, its sandbox and its store are the real ones; the server is the scripted world of the agent's tests. Every
request the browser makes is watched: none may leave this machine.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import segno
from playwright.sync_api import Browser, Page, expect

from tests.e2e.looking import check_screen, picture_of
from tests.e2e.wallet_acts import a_permit_by_keyboard, look_after_credentials, use_the_journal
from tests.e2e.wallet_lists import REQUIREMENT, a_list_by_keyboard, fill_lists, tab_to
from tests.unit.agent import documents
from tests.unit.agent.world import World
from wallets.agent import server
from wallets.agent.holder import Holder
from wallets.agent.local_api import LocalPages

pytestmark = pytest.mark.e2e
PASSPHRASE = "correct horse battery"
expect.set_options(timeout=20_000)  # a busy machine tests its sandbox beside the first pages


class Stage:
    """A wallet's pages and a scripted server on one event loop in a thread of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.run(self._start())

    async def _start(self) -> None:
        self.world = await World(requirement=REQUIREMENT).__aenter__()
        self.pages = LocalPages(Holder(self.directory))
        self._serving = asyncio.ensure_future(self.pages.serve())
        while self.pages._server is None or not self.pages._server.started:
            await asyncio.sleep(0.02)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something on that loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def close(self) -> None:
        """End everything."""
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _end(self) -> None:
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)
        await self.world.stop()

    @property
    def pairing_link(self) -> str:
        """A link to the scripted server."""
        return f"cssi://pair?url={self.world.url}&code=1&pin={server.pin_of(self.world.description())}"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "my-wallet")
    yield made
    made.close()


class Window:
    """A browser window that remembers what it asked the network for and what went wrong."""

    def __init__(self, browser: Browser, stage: Stage, *, width: int = 1280, scheme: Any = "light") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        self.stage, self.name = stage, f"{scheme}-{width}"
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._heard)
        self.page.goto(stage.pages.link)

    def _heard(self, message: Any) -> None:
        if message.type == "error" and "status of 4" not in message.text:
            self.wrong.append(message.text)

    def click(self, name: str, **how: Any) -> None:
        self.page.get_by_role("button", name=name, exact=True, **how).first.click()

    def go(self, page: str) -> None:
        self.page.get_by_role("navigation").get_by_role("link", name=page, exact=True).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(page)

    def said(self, text: str) -> None:
        expect(self.page.get_by_role("status")).to_contain_text(text)

    def check(self, what: str) -> None:
        """No violation, no sideways scrolling, on the page as it is now."""
        check_screen(self.page, what, self.name)

    def close(self) -> None:
        """Nothing left this machine and nothing went wrong."""
        own = f"http://127.0.0.1:{self.stage.pages.port}/"
        assert [url for url in self.asked if not url.startswith((own, "data:", "blob:"))] == []
        assert self.wrong == []
        self.context.close()


def created(window: Window, look: Callable[[str], None] = lambda _: None) -> str:
    """Through onboarding; the recovery code."""
    page = window.page
    page.get_by_label("Passphrase", exact=True).fill(PASSPHRASE)
    page.get_by_label("The same again").fill(PASSPHRASE)
    window.click("Create my wallet")
    expect(page.get_by_role("heading", level=1)).to_have_text("First, so that you never lose it")
    code = page.locator(".big-code").inner_text()
    look("backup")
    with page.expect_download() as saved:
        window.click("Save the backup")
    assert Path(saved.value.path()).read_bytes().startswith(b"CSSI-WALLET-BACKUP")
    page.get_by_label("The first five characters of your recovery code").fill(code[:5].lower())
    window.click("Go to my wallet")
    expect(page.get_by_role("heading", level=1)).to_have_text("My data")
    return code


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_a_life_of_a_wallet(browser: Browser, stage: Stage, scheme: str, width: int) -> None:
    window = Window(browser, stage, width=width, scheme=scheme)
    page, collective = window.page, stage.world.collective
    expect(page.get_by_role("heading", level=1)).to_have_text("Your own wallet")
    assert stage.pages.link.rsplit("#", 1)[1] not in page.url  # the token does not stay in the address
    window.check("start")
    created(window, window.check)
    window.check("my data, empty")
    window.go("Today")
    page.get_by_label("Pairing link").fill(stage.pairing_link)
    window.check("pairing")
    window.click("Pair")
    window.said("Paired")

    window.go("My data")
    page.get_by_label("Id of the collective").fill(collective.id)
    window.click("Show what it asks for")
    expect(page.get_by_text("Still missing for Heights")).to_be_visible()
    window.check("my data, missing")
    fill_lists(window)
    look_after_credentials(window)

    window.go("Today")
    page.get_by_label("Link or id of the collective").fill(collective.id)
    window.click("Review its terms")
    expect(page.get_by_role("heading", name="Heights")).to_be_visible()
    window.click("Go on to the question")
    expect(page.get_by_role("heading", name="Subscribe to Heights?")).to_be_visible()
    window.check("consent")
    window.click("Subscribe")
    window.go("Permits")
    expect(page.get_by_role("heading", name="Heights")).to_be_visible()
    window.check("permits")
    window.click("Pause")
    expect(page.get_by_text("paused", exact=True)).to_be_visible()
    window.click("Take part again")
    window.click("Pause everything")
    window.said("until you take part again")
    expect(page.get_by_text("paused", exact=True)).to_be_visible()
    window.click("Take part again everywhere")
    window.said("may ask again")
    expect(page.get_by_text("paused", exact=True)).to_be_hidden()

    announce(stage)
    window.go("Notices")
    expect(page.get_by_text("It is better.")).to_be_visible()
    window.check("notices")
    window.click("Continue without it")
    expect(page.get_by_role("strong").or_(page.locator("dd strong"))).to_have_text("without")

    for name in ("Journal", "Earnings", "Privacy", "Health"):
        window.go(name)
        window.check(name.lower())
        if name == "Journal":
            use_the_journal(window)
    expect(page.get_by_text("full: every wall stands").first).to_be_visible(timeout=60_000)

    window.go("Permits")
    window.click("Delete now")
    expect(page.get_by_text("It gets nothing from then on.")).to_be_visible()
    window.check("permits, deleting")
    window.click("Delete now")
    expect(page.get_by_text("Nobody may learn from your data.")).to_be_visible()
    window.said("its keys were erased")
    window.click("Lock")
    expect(page.get_by_role("heading", level=1)).to_have_text("Locked")
    window.check("locked")
    window.close()


def announce(stage: Stage) -> None:
    """A signed notice of a new algorithm arrives."""
    (pseudonym,) = stage.world.subscribers

    async def work() -> None:
        await stage.world.until(lambda: any(pseudonym in line.keys for line in stage.world.lines))
        other = documents.manifest(name="another")
        ident = await stage.world.mail(
            pseudonym, "notice", stage.world.collective.notice(other, documents.now())
        )
        holder = stage.pages._holder
        async with asyncio.timeout(10):
            while not holder.pending:
                await asyncio.sleep(0.05)
        # The question of the moment is left open: the holder answers on the page of notices.
        holder.answer(next(iter(holder.pending)), "decide later")
        await stage.world.answer_to(ident)

    stage.run(work())


def test_by_keyboard_alone(browser: Browser, stage: Stage) -> None:
    """Create, back up, pair and lock without a mouse; the focus is always to be seen and goes to what is new."""
    window = Window(browser, stage)
    page = window.page
    press = page.keyboard.press
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    press("Tab")
    page.keyboard.type(PASSPHRASE)
    press("Tab")
    page.keyboard.type(PASSPHRASE)
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("First, so that you never lose it")
    code = page.locator(".big-code").inner_text()
    tab_to(page, "Save the backup")
    with page.expect_download():
        press("Enter")
    tab_to(page, "The first five characters of your recovery code")
    page.keyboard.type(code[:5])
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.get_by_role("heading", level=1)).to_have_text("My data")
    tab_to(page, "Today", backwards=True)
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    tab_to(page, "Pairing link")
    page.keyboard.type(stage.pairing_link)
    press("Enter")
    window.said("Paired")
    tab_to(page, "Today", backwards=True)
    page.wait_for_timeout(5_000)  # the page refreshes itself meanwhile, and leaves the focus where it is
    assert page.evaluate("document.activeElement.textContent") == "Today"
    a_list_by_keyboard(window)
    a_permit_by_keyboard(window)
    tab_to(page, "Lock")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Locked")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    tab_to(page, "Passphrase")
    page.keyboard.type("not the passphrase")
    press("Enter")
    window.said("does not open the wallet")
    window.close()


CAMERA = """
  const canvas = document.createElement("canvas"), picture = canvas.getContext("2d"), rows = ROWS;
  canvas.width = 640;
  canvas.height = 480;
  let asked = 0;
  navigator.mediaDevices.getUserMedia = async () => {
    asked += 1;
    return (globalThis.stream = canvas.captureStream(10));
  };
  setInterval(() => {
    picture.setTransform(1, 0, 0, 1, 0, 0);
    picture.fillStyle = "#d8d2c4";
    picture.fillRect(0, 0, 640, 480);
    if (asked < 2) return;
    picture.setTransform(4.4, 0.9, -0.8, 4.5, 190, 90);
    rows.forEach((row, y) => [...row].forEach((module, x) => {
      picture.fillStyle = module === "1" ? "#222" : "#eee";
      picture.fillRect(x, y, 1.02, 1.02);
    }));
  }, 50);
"""
"""A camera into which a code is held, askew, when it is asked for the second time."""


def test_a_qr_code_is_read_with_the_camera_or_from_a_picture(browser: Browser, stage: Stage) -> None:
    """This machine has no camera, so a drawing stands in for what one sees; the page and what reads the code are the real ones."""
    window = Window(browser, stage)
    page = window.page
    created(window)
    window.go("Today")
    code = segno.make(stage.pairing_link, error="m")
    link, off = (
        page.get_by_label("Pairing link"),
        "stream.getTracks().every((track) => track.readyState === 'ended')",
    )
    shot = picture_of(stage.pairing_link)
    for file, said in (({**shot, "buffer": b"no picture"}, "cannot be opened"), (shot, "The code was read")):
        with page.expect_file_chooser() as chooser:
            window.click("Read it from a picture")
        chooser.value.set_files(file)
        window.said(said)
    expect(link).to_have_value(stage.pairing_link)

    rows = ["".join(str(int(bool(one))) for one in row) for row in code.matrix_iter(border=4)]
    page.add_init_script(CAMERA.replace("ROWS", json.dumps(rows)))
    page.reload()
    window.click("Scan the QR code")
    window.click("Stop the camera")
    window.said("The camera is off.")
    expect(page.get_by_role("button", name="Scan the QR code").first).to_be_focused()
    assert page.evaluate(off)
    expect(link).to_have_value("")
    window.click("Scan the QR code")
    window.said("The code was read")
    expect(link).to_have_value(stage.pairing_link)
    assert page.evaluate(off)
    window.click("Pair")
    window.said("Paired")
    window.close()


def test_a_one_time_code_is_typed_where_there_is_no_camera(browser: Browser, stage: Stage) -> None:
    window = Window(browser, stage)
    page = window.page
    created(window)
    window.go("Today")
    page.get_by_text("Type the one-time code instead").click()
    page.get_by_label("Address of the site").fill(stage.world.url + "/wallet/pair")
    page.get_by_label("One-time code").fill("424242")
    window.click("Pair with the code")
    window.said("Paired")
    expect(page.locator(".big-code")).to_have_text(server.pin_of(stage.world.description())[:16])
    window.check("comparing")
    window.click("It begins the same")
    expect(page.locator(".big-code")).to_have_count(0)
    assert stage.world.posted["wallets/pair"][0]["code"] == "424242"
    window.close()


def test_a_page_without_the_token_shows_nothing(browser: Browser, stage: Stage) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(stage.pages.link.split("#")[0])
    expect(page.get_by_role("status")).to_contain_text("Open the link the wallet printed.")
    context.close()
