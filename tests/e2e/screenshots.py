"""Every screen as pictures to look at: light and dark, 360 and 1280 px wide. `make screenshots`; not a test of anything.

`PAGES=job,funds` takes only these, `ACCEPT_LANGUAGE=de` takes them in German, `SCREENSHOTS` is the folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.apps.cast import World
from tests.apps.pages.addresses import FILES, pages
from tests.e2e.conftest import Open, apart

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True, databases="__all__")]
FOLDER = Path(os.environ.get("SCREENSHOTS", "report/screenshots"))
ONLY = [name for name in os.environ.get("PAGES", "").split(",") if name]
LANGUAGE = os.environ.get("ACCEPT_LANGUAGE", "en")


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("light", 360), ("dark", 1280), ("dark", 360)]
)
def test_pictures(visit: Open, world: World, scheme: str, width: int) -> None:
    folder = FOLDER / f"{scheme}-{width}"
    folder.mkdir(parents=True, exist_ok=True)
    windows: dict[object, object] = {}
    for made in apart(lambda: pages(world)):
        if made.name in FILES or (ONLY and made.name not in ONLY):
            continue
        kind = (made.who, made.enter)
        page = windows.get(kind) or visit(
            made.who, width=width, scheme=scheme, client=lambda made=made: made.client(world)
        )
        windows[kind] = page
        page.set_extra_http_headers({"Accept-Language": LANGUAGE})
        page.goto(made.url)
        page.wait_for_timeout(700 if "register" in made.name or "propose" in made.name else 100)
        page.screenshot(path=folder / f"{made.name}.png", full_page=True)
