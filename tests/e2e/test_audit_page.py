"""The report of a privacy audit in a real browser: plots, tables, badges; accessible, and no wider than the window."""

from __future__ import annotations

import os

import pytest
from django.urls import reverse

from collectives.audit.run import audit
from collectives.audit.subject import subject
from collectives.models import Algorithm
from tests.apps import cast
from tests.apps.audits.test_audits import concluded
from tests.apps.cast import World
from tests.e2e.conftest import Open, apart
from tests.e2e.looking import check_screen

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.django_db(transaction=True, databases=["default", "distributor"]),
]
PARTS = tuple(os.environ.get("AUDIT_PARTS", "form,ratio,canaries").split(","))
"""More of them for looking at; the page is the same."""


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_a_report_is_a_page_like_any_other(visit: Open, world: World, scheme: str, width: int) -> None:
    found = audit(
        subject(cast.MANIFEST, cast.REQUIREMENT),
        only=PARTS,
        command=f"manage.py audit --algorithm {world.algorithm.manifest_hash}",
    )

    def kept() -> tuple[Algorithm, Algorithm]:
        good, bad = (
            world.algorithm,
            Algorithm.objects.create(
                author=world.people["aron"],
                name="Leaks",
                manifest=cast.MANIFEST,
                manifest_hash="ab" * 32,
                parameters=9,
            ),
        )
        for algorithm, admitted in ((good, True), (bad, False)):
            row = concluded(algorithm, admitted=admitted)
            row.report = row.report | found.to_json() | {"admitted": admitted, "why": row.report["why"]}
            row.save()
        return good, bad

    good, bad = apart(kept)
    page, window = visit("ada", width=width, scheme=scheme), f"{scheme}-{width}"
    page.goto(reverse("algorithm", args=[good.manifest_hash]))
    check_screen(page, "algorithm", window)
    page.get_by_role("link", name="audited, 80 of 100").click()
    assert page.locator("svg polyline").count() >= len([part for part in found.parts if part.curves])
    assert page.locator("h2").filter(has_text="Canaries").count() == 1
    check_screen(page, "audit", window)
    page.goto(reverse("audit", args=[bad.manifest_hash]))
    assert page.locator("main").inner_text().count("stand out") >= 1
    check_screen(page, "rejected audit", window)
