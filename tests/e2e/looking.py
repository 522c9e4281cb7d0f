"""Looking at a page as axe and a narrow window see it, with everything on it opened; the same for every host of pages."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import segno

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
LOOK = """async rules => (await axe.run(document, {runOnly: rules, resultTypes: ["violations"]}))
  .violations.map(found => `${found.id}: ${found.nodes[0].target}`)"""
SHOTS = os.environ.get("CSSI_SHOTS")
"""A folder to keep pictures in, for looking at them."""


def violations(page: Any) -> list[str]:
    """Axe is the test's script and not the page's: it is handed to the engine, which the page's policy does not govern. A window that looks
    at many pages brings it along (`add_init_script`)."""
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(AXE)
    found: list[str] = page.evaluate(LOOK, RULES)
    return found


def picture_of(link: str) -> dict[str, Any]:
    """A screenshot of a link as a QR code, as a file to choose."""
    out = io.BytesIO()
    segno.make(link, error="m").save(out, kind="png", scale=3, border=4)
    return {"name": "code.png", "mimeType": "image/png", "buffer": out.getvalue()}


def open_everything(page: Any) -> None:
    closed = page.locator("details:not([open]) > summary")
    while closed.count():  # each that is opened leaves the list
        closed.first.click()


def check_screen(page: Any, what: str, window: str) -> None:
    """No violation and no sideways scrolling on the page as it is now; a picture of it where SHOTS says so."""
    open_everything(page)
    assert violations(page) == [], what
    lines = {line.strip() for line in page.locator("main").inner_text().splitlines()}
    assert not lines & {"null", "undefined", "NaN", "[object Object]"}, f"{what} shows what is no text"
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, f"{what} scrolls sideways by {overflow} px"
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{what.replace(' ', '-')}-{window}.png", full_page=True)


def fill_job_performance(page: Any, person: dict[str, Any]) -> None:
    """All fields of the seed's example as a person would: by the labels that the requirement's form gives them."""
    page.get_by_label("job title").select_option(label=person["job_title"])
    for number, skill in enumerate(person["skills"], start=1):
        entry = page.get_by_role("group", name=f"skills, entry {number}", exact=True)
        if entry.count() == 0:
            page.get_by_role("button", name="Add to skills").click()
        entry.get_by_label("name").select_option(label=skill["name"])
        for place, value in enumerate(skill["measurements"], start=1):
            row = entry.get_by_label(f"measurements, entry {place}", exact=True)
            if row.count() == 0:
                entry.get_by_role("button", name="Add to measurements").click()
            row.fill(str(value))
    for field in ("preferences", "characteristics"):
        for value in person[field]:
            page.get_by_role("group", name=field).get_by_label(value, exact=True).check()
    page.get_by_label("manager evaluation").fill(str(person["manager_evaluation"]))
    page.get_by_label("peer review").fill(str(person["peer_review"]))
