"""Every screen as pictures to look at: light and dark, 360 and 1280 px wide. `make screenshots`; not a test of anything.

`PAGES=job,funds` takes only these, `ACCEPT_LANGUAGE=de` takes them in German, `SCREENSHOTS` is the folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.apps.cast import World
from tests.apps.pages.addresses import pages
from tests.e2e.conftest import Open
from tests.e2e.test_accessibility import NOT_PAGES

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True, databases=["default", "distributor"])]
FOLDER = Path(os.environ.get("SCREENSHOTS", "report/screenshots"))
ONLY = [name for name in os.environ.get("PAGES", "").split(",") if name]
LANGUAGE = os.environ.get("ACCEPT_LANGUAGE", "en")


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("light", 360), ("dark", 1280), ("dark", 360)]
)
def test_pictures(visit: Open, world: World, scheme: str, width: int) -> None:
    folder = FOLDER / f"{scheme}-{width}"
    folder.mkdir(parents=True, exist_ok=True)
    windows: dict[str, object] = {}
    for made in pages(world):
        if made.name in NOT_PAGES or (ONLY and made.name not in ONLY):
            continue
        page = windows.setdefault(made.who, None) or visit(made.who, width=width, scheme=scheme)
        windows[made.who] = page
        page.set_extra_http_headers({"Accept-Language": LANGUAGE})
        page.goto(made.url)
        page.wait_for_timeout(700 if "register" in made.name or "propose" in made.name else 100)
        page.screenshot(path=folder / f"{made.name}.png", full_page=True)
