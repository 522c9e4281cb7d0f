"""The issuer desk in a real Chromium: from opening a desk to the link, readable for everybody."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page

from attestation.desk import sealing
from attestation.desk.models import Credential
from marketplace.accounts.models import Account
from marketplace.demo.job_performance import job_performance, requirement
from tests.apps import cast
from tests.e2e.conftest import Open, apart
from tests.e2e.looking import SHOTS, fill_job_performance
from tests.e2e.test_accessibility import violations

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True, databases=["default", "distributor", "issuer"]),
]


def _asking(did: str) -> str:
    """The address of a collective that takes this desk's word for the grade that peers give."""
    asked = requirement()
    asked["properties"]["peer_review"] |= {"x-assurance": "attested", "x-issuers": [did]}
    owner = Account.objects.get(email="alice@people.example")
    made = cast.register(owner, "Good work", requirement=asked)
    return reverse("collective", args=[made.pk])


def _sealed() -> dict[str, Any]:
    """What waits for the wallet."""
    found = Credential.objects.get()
    assert found.sealed_offer is not None
    record: dict[str, Any] = json.loads(sealing.unseal(bytes(found.sealed_offer), found.id.bytes))["record"]
    return record


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_an_issuer_attests_and_revokes(visit: Open, tmp_path: Path, scheme: str, width: int) -> None:
    page = visit("ivo", scheme=scheme, width=width)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("console", lambda said: problems.append(said.text) if "404" not in said.text else None)
    person = job_performance(people=10).train[0]

    def look(name: str) -> None:
        problems.extend(f"{name}: {line}" for line in violations(page))
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            problems.append(f"{name}: scrolls sideways")
        if SHOTS:
            page.screenshot(
                path=f"{SHOTS}/desk-{name.replace(' ', '-')}-{scheme}-{width}.png", full_page=True
            )

    page.goto("/issuer/")
    look("desks")
    page.get_by_label("Name of the desk").fill("Acme HR")
    page.get_by_role("button", name="Open a desk").click()
    did = page.locator(".hash").first.inner_text()
    page.get_by_role("link", name="Attest values").click()
    _choose_rules(page, page.url.split("/issuer/")[0] + apart(lambda: _asking(did)), tmp_path, look)
    _enter_values(page, person, look)
    assert page.get_by_label("Link for the wallet").input_value().startswith("cssi://credential?")
    sealed = apart(_sealed)
    in_order = {name: sorted(person[name]) for name in ("preferences", "characteristics")}
    assert {**sealed, **{name: sorted(sealed[name]) for name in in_order}} == {**person, **in_order}
    look("credential")
    page.get_by_role("link", name="Acme HR").click()
    page.get_by_role("heading", name="Credentials").wait_for()
    look("desk")
    page.get_by_role("link", name="no. 17").click()
    page.get_by_role("button", name="Revoke").click()
    page.get_by_text("Revoked. Wallets and collectives see it").wait_for()
    assert apart(lambda: Credential.objects.get().status) == "revoked"
    assert problems == []


def _choose_rules(page: Page, address: str, folder: Path, look: Callable[[str], None]) -> None:
    """Nothing is sent without rules; a wrong address and a wrong file are said; the collective's page and a file give the same form."""
    look("attest")
    page.get_by_label("Your own note").fill("no. 17")
    page.get_by_role("button", name="Attest").click()
    page.get_by_text("First get the rules").wait_for()
    collective = page.get_by_label("Collective", exact=True)
    assert collective.evaluate("one => one === document.activeElement")
    for nowhere in ("Acme Skills", "/collectives/00000000-0000-4000-8000-000000000000/"):
        collective.fill(nowhere)
        page.get_by_role("button", name="Get its rules").click()
        page.get_by_text("No collective was found.").wait_for()
    collective.fill(address)
    collective.press("Enter")
    page.get_by_text("Rules of Good work").wait_for()
    assert page.get_by_text("No collective was found.").is_hidden()
    first = page.locator("#claims .field").first.inner_text()
    assert first.split("\n\n") == ["peer review", "Asked of this desk. A whole number from 0 to 10"]
    page.get_by_label("peer review").fill("3")
    file = page.get_by_label("Or a file with its data requirement")
    for odd in (
        "{",
        "[]",
        '{"type": "object"}',
        '{"type": "object", "properties": {"a": {"type": "array"}}}',
    ):
        file.set_input_files({"name": "odd.json", "mimeType": "application/json", "buffer": odd.encode()})
        page.get_by_text("No form can be made of this").wait_for()
        file.set_input_files([])
        assert page.get_by_label("peer review").input_value() == "3"  # what was there stays
    rules = folder / "requirement.json"
    rules.write_text(json.dumps(requirement()))
    file.set_input_files(rules)
    page.get_by_text("Rules of requirement.json").wait_for()
    assert page.get_by_label("peer review").input_value() == ""  # this field's rule is another now


def _enter_values(page: Page, person: dict[str, Any], look: Callable[[str], None]) -> None:
    """One field for each claim; a wrong one and a list half full are said and not sent, and what the server says keeps everything."""
    attest = page.get_by_role("button", name="Attest", exact=True)
    here = page.url
    attest.click()
    page.get_by_text("Enter at least one value.").wait_for()
    review, preference = page.get_by_label("peer review"), page.get_by_role("group", name="preferences")
    review.fill("11")
    page.get_by_text("must be at most 10").first.wait_for()
    assert page.get_by_text("Enter at least one value.").is_hidden()
    attest.click()
    assert review.evaluate("one => one === document.activeElement")
    review.fill("7")
    preference.get_by_role("checkbox").first.check()
    attest.click()
    page.get_by_text("1 of at least 5").first.wait_for()  # a list is attested whole or not at all
    look("attest with errors")
    preference.get_by_role("checkbox").first.uncheck()
    assert page.url == here
    fill_job_performance(page, person)
    page.get_by_label("Valid for").evaluate("one => { one.value = 9999; one.form.noValidate = true; }")
    attest.click()
    page.get_by_text("Something needs your attention").wait_for()
    assert review.input_value() == str(person["peer_review"])
    page.get_by_label("Valid for").fill("30")
    look("attest filled in")
    attest.click()
