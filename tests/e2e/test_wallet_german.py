"""The wallet's own pages in a Chromium whose reader reads German: on a machine and in a tab, narrow, under the same strict policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.looking import check_screen
from tests.e2e.test_wallet_pages import Stage

pytestmark = pytest.mark.e2e
CATALOGUES = tuple(
    Path(__file__).parents[2] / folder
    for folder in ("wallets/agent/web/german_pages.js", "static/wallet/page/german_tab.js")
)
ENTRY = re.compile(r'^  "(.{12,})": "', re.M)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "my-wallet")
    yield made
    made.close()


def heard(said: Any, wrong: list[str]) -> None:
    if said.type == "error" and "status of 4" not in said.text:
        wrong.append(said.text)


def opened(browser: Browser, url: str, wrong: list[str]) -> Page:
    context = browser.new_context(
        locale="de-DE", viewport={"width": 320, "height": 900}, color_scheme="dark", reduced_motion="reduce"
    )
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: heard(said, wrong))
    page.goto(url)
    return page


def english_left(page: Page) -> list[str]:
    """Texts of the catalogue that the page still shows as they are written."""
    shown = page.locator("body").inner_text()
    keys = [key for file in CATALOGUES for key in ENTRY.findall(file.read_text(encoding="utf-8"))]
    assert len(keys) > 200
    return [key for key in keys if "{0}" not in key and key in shown]


def test_an_agents_pages_are_german(browser: Browser, stage: Stage) -> None:
    wrong: list[str] = []
    page = opened(browser, stage.pages.link, wrong)
    expect(page.get_by_role("heading", level=1)).to_have_text("Deine eigene Wallet")
    assert page.locator("html").get_attribute("lang") == "de"
    assert english_left(page) == []
    assert wrong == []
    page.context.close()


@pytest.mark.django_db(transaction=True, databases=["default", "distributor"])
def test_a_tab_is_german(browser: Browser, live_server: Any, settings: Any) -> None:
    settings.AGGREGATOR_URL = live_server.url
    wrong: list[str] = []
    page = opened(browser, f"{live_server.url}/wallet-app/", wrong)
    expect(page.get_by_role("heading", level=1)).to_have_text("Eine Wallet in diesem Browser", timeout=30_000)
    assert page.locator("html").get_attribute("lang") == "de"
    expect(page.get_by_role("link", name="Zurück zum Markt")).to_be_visible()
    assert english_left(page) == []
    check_screen(page, "start of a tab, German", "dark-320")
    assert wrong == []
    page.context.close()
