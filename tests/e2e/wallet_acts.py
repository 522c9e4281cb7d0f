"""Parts of the stories of a wallet's own pages: its credentials, its journal, and a permit from beginning to end by keyboard alone."""

from __future__ import annotations

import csv
import io
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from aggregation.wire import signing
from attestation.formats import credential
from tests.e2e.wallet_lists import tab_to
from tests.unit.agent import documents
from wallets.agent import credentials

if TYPE_CHECKING:
    from tests.e2e.test_wallet_pages import Window


def look_after_credentials(window: Window) -> None:
    """One that holds and one that its issuer revoked are told apart, and the revoked one is deleted; no value of them is shown."""
    page, stage = window.page, window.stage
    issuer, now = signing.generate(secrets.token_bytes), documents.now()
    store = stage.pages._holder.agent.store
    for name, status in (("height", "good"), ("weight", "revoked")):
        holder = signing.generate(secrets.token_bytes)
        text = credential.issue(
            private=issuer,
            holder_key=signing.public_key(holder),
            record={name: 7.125},
            facts={name: "aa" * 32},
            now=now,
            expires=now + 1000,
            status_uri="https://issuer.example/status",
            status_index=5,
        )
        kept = {"credential": text, "holder": holder.reveal().hex(), "received": now, "checked": now}
        stage.run(store.put("attested", name, kept | {"status": status}))
    window.go("Today")
    window.go("My data")
    section = page.locator("section", has=page.get_by_role("heading", name="What issuers attested"))
    expect(section.get_by_role("row", name="height").get_by_text("good", exact=True)).to_be_visible()
    revoked = section.get_by_role("row", name="weight")
    expect(revoked.get_by_text("revoked by its issuer")).to_be_visible()
    assert "7.125" not in section.inner_text()
    section.get_by_text("Receive a credential").click()
    expect(section.get_by_label("Link of the credential")).to_be_visible()
    window.check("my data, credentials")
    for _ in range(2):
        revoked.get_by_role("button", name="Delete", exact=True).click()
    window.said("The credential and its key were erased.")
    expect(section.get_by_role("row")).to_have_count(2)  # with the head


def use_the_journal(window: Window) -> None:
    """An entry is deleted, and its place stays, so the chain holds; filtered, and exported."""
    page, rows = window.page, window.page.get_by_role("table").get_by_role("row")
    window.click("Delete")
    window.click("Delete")
    window.said("its place in the chain remains")
    expect(page.get_by_text("The chain of entries is unbroken.")).to_be_visible()
    page.get_by_label("Show", exact=True).select_option("subscribed")
    expect(rows).to_have_count(2)  # with the head
    page.get_by_label("Of", exact=True).select_option(label="Heights")
    expect(rows).to_have_count(2)
    page.get_by_label("Show", exact=True).select_option("created")
    expect(rows).to_have_count(1)  # the wallet was created for no collective
    for filtered in ("Of", "Show"):
        page.get_by_label(filtered, exact=True).select_option("")
    expect(rows.nth(3)).to_be_visible()
    kept = {}
    for form in ("JSON", "CSV"):
        with page.expect_download() as saved:
            window.click(f"Export as {form}")
        kept[form] = Path(saved.value.path()).read_text("utf-8")
    entries = json.loads(kept["JSON"])
    lines = [line["seq"] for line in csv.DictReader(io.StringIO(kept["CSV"]))]
    assert lines == [str(entry["seq"]) for entry in entries]
    assert [entry["kind"] for entry in entries].count("subscribed") == 1
    assert "welding" not in kept["JSON"] + kept["CSV"]  # no value of the data


def a_permit_by_keyboard(window: Window) -> None:
    """Terms are looked at and agreed to, and the permit is paused and deleted."""
    page, press, stage = window.page, window.page.keyboard.press, window.stage
    skills = [{"name": name, "measurements": [0.5]} for name in ("law", "music")]
    record = {**documents.RECORD, "skills": skills, "habits": ["late"]}
    stage.run(credentials.save(stage.pages._holder.agent.store, record))
    tab_to(page, "Today")
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    tab_to(page, "Link or id of the collective")
    page.keyboard.type(stage.world.collective.id)
    press("Enter")
    expect(page.get_by_role("heading", name="Heights")).to_be_focused()
    tab_to(page, "Go on to the question")
    press("Enter")
    expect(page.get_by_role("heading", name="Subscribe to Heights?")).to_be_visible()
    tab_to(page, "Subscribe")
    press("Enter")
    tab_to(page, "Permits")
    press("Enter")
    expect(page.get_by_role("heading", name="Heights")).to_be_visible()
    tab_to(page, "Pause")
    press("Enter")
    expect(page.get_by_text("paused", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Take part again", exact=True)).to_be_focused()
    page.wait_for_timeout(5_000)  # the page refreshes itself meanwhile
    expect(page.get_by_role("button", name="Take part again", exact=True)).to_be_focused()
    tab_to(page, "Delete now")
    press("Enter")
    expect(
        page.get_by_role("button", name="No, keep it")
    ).to_be_focused()  # nothing is deleted by a second Enter
    press("Enter")
    expect(page.get_by_role("button", name="Delete now", exact=True)).to_be_focused()
    press("Enter")
    expect(page.get_by_role("button", name="No, keep it")).to_be_focused()
    press("Shift+Tab")
    press("Enter")
    window.said("its keys were erased")
    # What was pressed is gone with its card: the page's heading is what is left of the place.
    expect(page.get_by_role("heading", level=1)).to_be_focused()
