"""The other half of the four stories: a job is watched, stopped and its model taken; a notice is answered; the administrator reviews
and suspends. And what holds for people who use no mouse, want no motion, print, or have a slow line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from collectives.models import Algorithm, Collective, Job, Round
from collectives.services import algorithms
from collectives.training.checkpoint import read_file
from marketplace.individuals.models import NoticeChoice, SubscriptionLink
from marketplace.jobs.models import Order
from tests.apps import cast
from tests.apps.cast import World
from tests.e2e.conftest import Open, apart

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"]),
]


def test_a_consumer_watches_stops_and_takes_the_model(visit: Open, world: World, tmp_path: Path) -> None:
    job = world.order.job_id
    Job.objects.filter(pk=job).update(status="running", visits_earned=110)
    Round.objects.create(job_id=job, number=1, status="posted", joined=110, survivors=103, receipts=110)
    Round.objects.create(job_id=job, number=2, status="aggregating", phase="masked_input")
    page = visit("carla")
    page.goto(reverse("job", args=[job]))
    page.get_by_text("Waiting for masked inputs").first.wait_for()
    page.get_by_text("not yet enough wallets").wait_for()
    assert "110 of 200,000 visits" in page.locator("#live").inner_text()
    Round.objects.filter(job_id=job, number=2).update(enough=True, phase="unmask")
    # No socket here: the page falls back to asking now and then, and says the new phase aloud.
    page.locator("[data-live-status]", has_text="Unmasking the sum").wait_for(
        timeout=25_000, state="attached"
    )
    page.locator("#live .status.good", has_text="enough wallets").wait_for()
    Round.objects.filter(job_id=job, number=2).update(status="posted")
    page.get_by_role("button", name="Stop the job").click()
    page.get_by_text("The job stops after the running round").first.wait_for()
    page.get_by_role("link", name="Result and downloads").click()
    with page.expect_download() as started:
        page.get_by_role("link", name="Download model").click()
    started.value.save_as(tmp_path / "model.cssi")
    manifest, number, _weights, _facts = read_file((tmp_path / "model.cssi").read_bytes())
    assert (manifest.hash, number) == (world.algorithm.manifest_hash, 0)


def test_a_notice_is_answered_and_the_answer_changed(visit: Open, world: World) -> None:
    page = visit("ivo", width=320)
    page.goto(reverse("wallet"))
    page.get_by_role("link", name="Answer the notice").click()
    page.get_by_role("button", name="Keep my subscription without it").click()
    page.get_by_text("Keep my subscription without it").first.wait_for()
    page.goto(reverse("wallet"))
    page.get_by_role("link", name="See or change the answer").click()
    page.get_by_role("button", name="Keep going with the new algorithm").click()
    page.wait_for_load_state()
    said = list(NoticeChoice.objects.order_by("created_at").values_list("choice", flat=True))
    assert said == ["without", "with"]


def test_an_administrator_reviews_and_suspends(visit: Open, world: World) -> None:
    made = apart(
        lambda: algorithms.submit(
            actor=world.people["aron"], manifest=cast.MANIFEST | {"name": "To be reviewed"}
        )
    )
    page = visit("ada")
    page.goto(reverse("admin:index"))
    page.get_by_role("link", name="1 algorithms wait for review").click()
    page.get_by_role("link", name="To be reviewed").click()
    page.get_by_role("heading", name="What to look at").wait_for()
    page.go_back()
    page.locator(f"input[name=_selected_action][value='{made.pk}']").check()
    page.get_by_label("Action:").select_option(label="Approve for notice")
    page.get_by_role("button", name="Go", exact=True).click()
    page.get_by_text("is approved: collectives may announce it").wait_for()
    assert Algorithm.objects.get(pk=made.pk).status == "approved"
    page.goto(reverse("admin:collectives_collective_changelist"))
    page.locator("input[name=_selected_action]").first.check()
    page.get_by_label("Action:").select_option(label="Suspend (the reason is shown to everybody)")
    page.get_by_role("textbox", name="Reason").fill("The purpose is not what was announced.")
    page.get_by_role("button", name="Go", exact=True).click()
    page.get_by_text("is suspended; nothing new begins").wait_for()
    assert Collective.objects.get(pk=world.collective.pk).status == "suspended"
    reader = visit()
    reader.goto(reverse("collective", args=[world.collective.pk]))
    reader.get_by_text("The purpose is not what was announced.").wait_for()
    assert reader.get_by_role("link", name="Start a training job").count() == 0


def tab_to(page: Any, words: str, most: int = 60) -> None:
    """Press Tab until what has the focus is called so; each step must show where one is and hide nothing of it."""
    for _ in range(most):
        page.keyboard.press("Tab")
        name, outline, inside = page.evaluate(
            """() => {
              const e = document.activeElement, r = e.getBoundingClientRect(), s = getComputedStyle(e);
              const label = e.labels?.[0]?.innerText ?? "";
              const seen = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);
              return [`${e.innerText ?? ""} ${label} ${e.getAttribute("aria-label") ?? ""}`, s.outlineStyle,
                      e === document.body || !seen || e.contains(seen) || seen.contains(e)];
            }"""
        )
        assert outline != "none", f"nothing shows that {name.strip()!r} has the focus"
        assert inside, f"{name.strip()!r} has the focus and is covered"
        if words in name:
            return
    raise AssertionError(f"{most} presses of Tab do not reach {words!r}")


@pytest.mark.long
def test_ordering_by_keyboard_alone(visit: Open, world: World) -> None:
    page = visit("carla")
    page.goto(reverse("collective", args=[world.collective.pk]))
    tab_to(page, "Start a training job")
    page.keyboard.press("Enter")
    page.get_by_role("radio").first.wait_for()
    tab_to(page, world.algorithm.name)
    page.keyboard.press("Space")
    tab_to(page, "Next: limits")
    page.keyboard.press("Enter")
    page.get_by_label("Budget").wait_for()
    tab_to(page, "Budget")
    page.keyboard.press("Control+a")
    page.keyboard.type("100")
    tab_to(page, "Next: review")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Fund escrow and start").wait_for()
    tab_to(page, "Fund escrow and start")
    page.keyboard.press("Enter")
    page.get_by_text("The order is kept, but it is not funded").wait_for()
    assert Order.objects.filter(consumer=world.people["carla"]).count() == 2


def test_consent_notice_and_revoking_by_keyboard_alone(visit: Open, world: World) -> None:
    other = apart(lambda: cast.register(world.people["alice"], "Another question"))
    page = visit("ivo", width=320)
    page.goto(reverse("subscribe", args=[other.pk]))
    tab_to(page, "Subscribe")
    tab_to(page, "Not now", most=1)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/wallet/subscriptions/**")
    page.goto(reverse("notice", args=[world.link.pk, world.admission.pk]))
    tab_to(page, "Keep going with the new algorithm")
    tab_to(page, "Keep my subscription without it", most=1)
    tab_to(page, "Leave this collective", most=1)
    page.goto(reverse("subscription", args=[world.link.pk]))
    tab_to(page, "Revoke")
    page.keyboard.press("Enter")
    page.get_by_text("Revoked on this site").wait_for()
    assert SubscriptionLink.objects.get(pk=world.link.pk).status == "revoked"


def test_a_receipt_prints_in_dark_windows_too(visit: Open, world: World) -> None:
    page = visit("ivo", scheme="dark")
    page.goto(reverse("subscription", args=[world.link.pk]))
    page.emulate_media(media="print", color_scheme="dark")
    for hidden in ("nav.site-nav", ".site-foot", ".button"):
        assert not page.locator(hidden).first.is_visible(), hidden
    receipt = page.locator(".card", has=page.get_by_role("heading", name="Receipt"))
    assert receipt.is_visible()
    paper, ink = receipt.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]")
    assert (paper, ink) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)")


MOVING = """() => [...document.querySelectorAll("*")].filter(e => {
  const s = getComputedStyle(e), long = text => text.split(",").some(t => parseFloat(t) > 0);
  return long(s.transitionDuration) || (s.animationName !== "none" && long(s.animationDuration));
}).length"""


def test_nothing_moves_for_who_wants_no_motion(visit: Open, world: World) -> None:
    page = visit("carla")
    for name, args in (("home", []), ("catalogue", []), ("job", [world.order.job_id])):
        page.goto(reverse(name, args=args))
        assert page.evaluate(MOVING) == 0, name
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(MOVING) > 0, "the look has transitions, and the rule above found none"


FIRST_PAGES = [
    ("", "home"),
    ("", "collective"),
    ("ivo", "subscription"),
    ("carla", "job"),
    ("alice", "collective-register"),
]
FETCHED = """() => ["navigation", "resource"].flatMap(kind => performance.getEntriesByType(kind)).map(e => [e.name, e.decodedBodySize])"""


def test_a_first_visit_weighs_little(visit: Open, world: World) -> None:
    """Everything that a browser with an empty cache fetches for one page: at most 100 KiB, before any compression."""
    arguments = {
        "collective": world.collective.pk,
        "subscription": world.link.pk,
        "job": world.order.job_id,
    }
    for who, name in FIRST_PAGES:
        page = visit(who)
        page.goto(reverse(name, args=[arguments[name]] if name in arguments else []), wait_until="load")
        fetched = page.evaluate(FETCHED)
        assert {"tokens.css", "app.css", "app.js"} <= {url.rsplit("/", 1)[1] for url, _size in fetched}, name
        assert 20 * 1024 < sum(size for _url, size in fetched) <= 100 * 1024, (name, fetched)
