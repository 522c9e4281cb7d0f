"""Every page, as whom it is made for, light and wide, dark and 320 px narrow: no violation, no sideways scrolling, no script error.

Axe sees only part of WCAG 2.2 AA. By hand before a release: keyboard, 400 % zoom, forced colours, a screen reader on
subscribe, notice and revoke (CONTRIBUTING.md).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.apps.cast import World
from tests.apps.pages.addresses import FILES, Page, for_each_role, pages
from tests.e2e.conftest import Open, apart
from tests.e2e.looking import AXE, open_everything, violations

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True, databases="__all__")]


def test_axe_sees_a_bad_page(visit: Open) -> None:
    page = visit()
    page.set_content("<html><body><input><p style='color:#ccc;background:#fff'>pale</p></body></html>")
    assert {line.split(":")[0] for line in violations(page)} >= {"color-contrast", "label", "html-has-lang"}


@pytest.mark.parametrize(("scheme", "width", "language"), [("light", 1280, "en"), ("dark", 320, "de")])
def test_every_page_is_accessible(visit: Open, world: World, scheme: str, width: int, language: str) -> None:
    """German in the narrow window: its words are the longer ones. There, where most goes wrong, each page is also seen as every role."""
    problems: list[str] = []

    def heard(message: Any) -> None:
        if "Content Security" in message.text:
            problems.append(f"{message.page.url}: {message.text}")

    def window(made: Page) -> Any:
        opened = visit(made.who, width=width, scheme=scheme, client=lambda: made.client(world))
        opened.add_init_script(AXE)
        opened.set_extra_http_headers({"Accept-Language": language})
        opened.on("pageerror", lambda error: problems.append(f"script: {error}"))
        opened.on("console", heard)
        return opened

    windows: dict[Any, Any] = {}
    for made in apart(lambda: [*pages(world), *(for_each_role(world) if width == 320 else ())]):
        if made.name in FILES:
            continue
        kind = (made.who, made.enter)
        if kind not in windows:
            windows[kind] = window(made)
        page = windows[kind]
        answer = page.goto(made.url)
        if answer.status != 200 or not page.url.endswith(made.url):
            problems.append(f"{made.name}: {answer.status} at {page.url}")
        open_everything(page)
        problems += [f"{made.name}: {line}" for line in violations(page)]
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            problems.append(f"{made.name}: scrolls sideways")
    assert problems == []
