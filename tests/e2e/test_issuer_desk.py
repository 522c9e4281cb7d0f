"""The issuer desk in a real Chromium: from opening a desk to the link, readable for everybody."""

from __future__ import annotations

import json
from typing import Any

import pytest

from attestation.desk.models import Issuer
from marketplace.demo.job_performance import requirement
from tests.e2e.conftest import Open, apart
from tests.e2e.test_accessibility import violations

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True, databases=["default", "distributor", "issuer"]),
]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_an_issuer_attests_and_revokes(visit: Open, scheme: str, width: int) -> None:
    page = visit("ivo", scheme=scheme, width=width)
    problems: list[str] = []

    def look(name: str) -> None:
        problems.extend(f"{name}: {line}" for line in violations(page))
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            problems.append(f"{name}: scrolls sideways")

    page.goto("/issuer/")
    look("desks")
    page.get_by_label("Name of the desk").fill("Acme HR")
    page.get_by_role("button", name="Open a desk").click()
    page.get_by_role("link", name="Attest values").click()
    look("attest")
    page.get_by_label("Your own note").fill("no. 17")
    page.get_by_label("Data requirement").fill(json.dumps(requirement()))
    page.get_by_label("Values you attest").fill('{"peer_review": 11}')
    page.get_by_role("button", name="Attest").click()
    page.get_by_text("peer_review: must be at most 10").first.wait_for()
    look("attest with errors")
    page.get_by_label("Values you attest").fill('{"peer_review": 7}')
    page.get_by_role("button", name="Attest").click()
    assert page.get_by_label("Link for the wallet").input_value().startswith("cssi://credential?")
    look("credential")
    page.get_by_role("link", name="Acme HR").click()
    page.get_by_role("heading", name="Credentials").wait_for()
    look("desk")
    page.get_by_role("link", name="no. 17").click()
    page.get_by_role("button", name="Revoke").click()
    page.get_by_text("Revoked. Wallets and collectives see it").wait_for()
    found: Any = apart(lambda: Issuer.objects.get().credentials.get().status)
    assert found == "revoked"
    assert problems == []
