"""What a holder enters that is more than a number: lists of things with lists in them, by mouse and by keyboard, on the wallet's own pages."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from playwright.sync_api import Page, expect

from tests.unit.agent import documents

if TYPE_CHECKING:
    from tests.e2e.test_wallet_pages import Window

REQUIREMENT = copy.deepcopy(documents.REQUIREMENT)
"""What the scripted collective asks for, and lists besides: such as the seed's example has."""
REQUIREMENT["properties"] |= {
    "skills": {
        "type": "array",
        "minItems": 2,
        "maxItems": 3,
        "x-unique-by": "name",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "measurements"],
            "properties": {
                "name": {"type": "string", "enum": ["law", "music", "welding"]},
                "measurements": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "number", "minimum": 0, "maximum": 1},
                },
            },
        },
    },
    "habits": {
        "type": "array",
        "minItems": 1,
        "maxItems": 2,
        "uniqueItems": True,
        "items": {"type": "string", "enum": ["early", "late", "loud"]},
    },
}
REQUIREMENT["required"] += ["skills", "habits"]


def fill_lists(window: Window) -> None:
    """Numbers, a list of things with lists in them, and a choice of several: entered, corrected, half saved, changed and shown, never as JSON."""
    page = window.page
    page.get_by_label("height").fill("4.5")
    page.get_by_label("weight").fill("25")
    page.get_by_label("ill (required)").select_option(label="yes")
    expect(page.get_by_text("must be at most 10")).to_be_visible()
    window.click("Check and save")
    window.said("Correct what is marked; nothing was saved.")
    expect(page.get_by_label("weight")).to_be_focused()
    page.get_by_label("weight").fill("2.5")
    skills = page.get_by_role("group", name="skills (required)", exact=True)
    expect(skills.get_by_text("2 to 3 entries", exact=True)).to_be_visible()
    first = page.get_by_role("group", name="skills, entry 1", exact=True)
    first.get_by_label("name").select_option(label="law")
    first.get_by_label("measurements, entry 1", exact=True).fill("0.5")
    first.get_by_role("button", name="Add to measurements").click()
    expect(first.get_by_label("measurements, entry 2", exact=True)).to_be_focused()
    page.keyboard.type("0.75")
    expect(skills.get_by_text("1 of at least 2", exact=True)).to_be_visible()
    window.check("my data, lists")
    window.click("Check and save")
    window.said("Saved in your wallet.")  # an unfinished list may wait
    expect(page.get_by_text("skills: 1 of at least 2")).to_be_visible()

    second = page.get_by_role("group", name="skills, entry 2", exact=True)
    skills.get_by_role("button", name="Add to skills", exact=True).click()
    second.get_by_label("name").select_option(label="law")
    expect(skills.get_by_text("two entries have the same name")).to_be_visible()
    second.get_by_label("name").select_option(label="welding")
    second.get_by_label("measurements, entry 1", exact=True).fill("1")
    habits = page.get_by_role("group", name="habits (required)", exact=True)
    for habit in ("early", "loud"):
        habits.get_by_label(habit, exact=True).check()
    page.get_by_text("Look at them").click()
    window.click("Delete")  # draws the page anew; what is entered and not saved stays
    window.click("Delete")
    window.said("was deleted and erased")
    expect(second.get_by_label("measurements, entry 1", exact=True)).to_have_value("1")
    window.click("Check and save")
    window.said("Look at what would be replaced.")
    window.click("Replace")
    expect(page.get_by_text("This replaces: skills.")).to_be_visible()
    window.click("Replace")
    expect(page.get_by_text("Everything it asks for is here.")).to_be_visible()
    record = window.stage.run(window.stage.pages._holder.agent.store.get("record", "main"))
    assert record == {
        **documents.RECORD,
        "skills": [{"name": "law", "measurements": [0.5, 0.75]}, {"name": "welding", "measurements": [1]}],
        "habits": ["early", "loud"],
    }
    page.get_by_text("Look at them").click()
    expect(page.get_by_role("cell", name="name: law; measurements: 0.5, 0.75")).to_be_visible()
    window.check("my data, complete")


def a_list_by_keyboard(window: Window) -> None:
    """What a collective asks for is looked up, and an entry added to a list, filled in, taken out, and the rest saved."""
    page, press = window.page, window.page.keyboard.press
    tab_to(page, "My data")
    press("Enter")
    tab_to(page, "Id of the collective")
    page.keyboard.type(window.stage.world.collective.id)
    press("Tab")
    press("Enter")
    expect(page.get_by_text("Still missing for Heights")).to_be_visible()
    tab_to(page, "Add to skills")
    press("Enter")
    page.keyboard.type("law")  # the new entry has the focus
    press("Tab")
    page.keyboard.type("0.5")
    expect(page.get_by_text("1 of at least 2")).to_be_visible()
    tab_to(page, "Remove")  # the measurement
    press("Enter")
    expect(
        page.get_by_role("group", name="skills, entry 3", exact=True).get_by_role("textbox")
    ).to_have_count(0)
    expect(page.get_by_role("button", name="Add to measurements", exact=True).last).to_be_focused()
    press("Enter")
    page.keyboard.type("0.25")
    tab_to(page, "Check and save")
    press("Enter")
    window.said("Saved")
    record = window.stage.run(window.stage.pages._holder.agent.store.get("record", "main"))
    assert record == {"skills": [{"name": "law", "measurements": [0.25]}]}
    page.evaluate("document.activeElement.blur()")


def tab_to(page: Page, name: str, *, backwards: bool = False) -> None:
    """Tab until the control of that name has the focus."""
    for _ in range(40):
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        found = page.evaluate(
            "(() => { const e = document.activeElement; return (e.labels?.[0]?.textContent || e.textContent || '').trim(); })()"
        )
        if found == name:
            return
    raise AssertionError(f"{name} cannot be reached by keyboard")
