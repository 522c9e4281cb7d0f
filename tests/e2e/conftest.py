"""A real Chromium on the real pages. The site runs in this process; the browser is the system's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, Page, sync_playwright

from marketplace.demo.chromium import installed
from tests import spread
from tests.apps import cast

Result = TypeVar("Result")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
# Playwright's own event loop runs in this thread; Django would refuse the database beside it.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


def chromium() -> str | None:
    """Chromium without the machinery of windows nobody sees, where that is installed beside it: the same pages for less CPU."""
    return shutil.which("chromium-headless-shell") or installed()


def apart(work: Callable[[], Result]) -> Result:
    """Run database work in another thread: this one has Playwright's event loop, where Django's synchronous parts refuse to run."""

    def closing() -> Result:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(closing).result()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A handful of stories takes a minute each, two of them in one file: a process per file leaves the others waiting."""
    return spread.scheduler(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium on this machine; install the package chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def world(transactional_db: None, settings: Any, live_server: Any) -> cast.World:
    settings.DISTRIBUTOR_URL = settings.SITE_URL = live_server.url
    return apart(cast.world)


Open = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, world: cast.World, live_server: Any) -> Iterator[Open]:
    """`visit("ivo", width=320, scheme="dark")` is a fresh browser window of that person; "" is signed out. `client` makes the client whose
    session the window goes on with, where it is not simply that person's."""
    contexts = []

    def new(
        name: str = "",
        *,
        width: int = 1280,
        scheme: Any = "light",
        script: bool = True,
        client: Callable[[], Client] | None = None,
    ) -> Page:
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=script,
            reduced_motion="reduce",
        )
        contexts.append(context)
        cookies = apart(client or (lambda: world.client(name))).cookies
        if "sessionid" in cookies:
            context.add_cookies(
                [{"name": "sessionid", "value": cookies["sessionid"].value, "url": live_server.url}]
            )
        page = context.new_page()
        page.set_default_timeout(10_000)
        return page

    yield new
    for context in contexts:
        context.close()
