"""What people do, in a real browser: register, pair, subscribe or not, order, all by keyboard where it matters."""

from __future__ import annotations

import pytest
from django.urls import reverse

from collectives.models import Collective
from marketplace.individuals import services
from marketplace.individuals.models import PairingCode, SubscriptionLink
from marketplace.jobs.models import Order
from tests.apps import cast
from tests.apps.cast import World
from tests.apps.individuals.wallet import Wallet
from tests.e2e.conftest import Open, apart

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True, databases=["default", "distributor"])]


def test_an_owner_registers_with_the_table_and_sees_the_preview(visit: Open, world: World) -> None:
    page = visit("alice")
    page.goto(reverse("collective-register"))
    page.get_by_label("Name of the collective").fill("Morning people")
    page.get_by_label("Purpose, in one sentence").fill("Learn who wakes up early.")
    page.get_by_label("Task", exact=True).fill("A small model of mornings.")
    line = page.get_by_role("group", name="Field 1")
    line.get_by_label("Short name").fill("hours")
    line.get_by_label("What people read").fill("Hours of sleep")
    line.get_by_label("Least value").fill("0")
    line.get_by_label("Most", exact=True).fill("24")
    page.locator("#preview").get_by_text("Morning people asks to train a model").wait_for()
    page.get_by_role("button", name="Register").click()
    page.get_by_role("heading", name="Morning people").wait_for()
    assert Collective.objects.filter(name="Morning people").exists()


def test_the_pairing_page_notices_the_wallet_by_itself(visit: Open, world: World) -> None:
    page = visit("ivo")
    page.goto(reverse("pair"))
    page.get_by_role("button", name="Make a pairing code").click()
    page.get_by_text("Waiting for your wallet").wait_for()
    row = PairingCode.objects.get(account=world.people["ivo"], status="waiting")
    assert page.locator("#pair-code").text_content() == services.code_of(row)
    assert apart(lambda: Wallet().pair(services.code_of(row)).status_code) == 200
    page.get_by_text("Your wallet is paired with this account.").wait_for()


def test_subscribe_and_not_now_are_equally_large_and_asked_once(visit: Open, world: World) -> None:
    other = apart(lambda: cast.register(world.people["alice"], "Another question"))
    page = visit("ivo", width=320)
    page.goto(reverse("subscribe", args=[other.pk]))
    yes = page.get_by_role("button", name="Subscribe")
    no = page.get_by_role("link", name="Not now")
    first, second = yes.bounding_box(), no.bounding_box()
    assert first is not None and second is not None
    assert (first["width"], first["height"]) == (second["width"], second["height"])
    styles = "e => { const s = getComputedStyle(e); return [s.backgroundColor, s.color, s.fontSize, s.borderColor] }"
    assert yes.evaluate(styles) == no.evaluate(styles)
    no.click()
    page.get_by_role("heading", name="Another question").wait_for()
    assert not SubscriptionLink.objects.filter(collective_id=other.pk).exists()


def test_revoking_is_one_click_and_says_what_follows(visit: Open, world: World) -> None:
    page = visit("ivo")
    page.goto(reverse("subscription", args=[world.link.pk]))
    page.get_by_role("button", name="Revoke").click()
    page.get_by_text("Revoked on this site").wait_for()
    assert SubscriptionLink.objects.get(pk=world.link.pk).status == "revoked"


def test_a_consumer_orders_in_three_steps(visit: Open, world: World) -> None:
    page = visit("carla")
    page.goto(reverse("collective", args=[world.collective.pk]))
    page.get_by_role("link", name="Start a training job").click()
    page.get_by_role("radio").first.check()
    page.get_by_role("button", name="Next: limits").click()
    page.get_by_label("Budget").fill("0.1")
    page.get_by_role("button", name="Next: review").click()
    page.get_by_role("alert").get_by_text("Enter 0.5 or more").wait_for()
    page.get_by_label("Budget").fill("10000")
    page.get_by_role("button", name="Next: review").click()
    page.get_by_text("10,000 / 0.005 = 2,000,000").wait_for()
    page.get_by_role("button", name="Fund escrow and start").click()
    page.get_by_text("The order is kept, but it is not funded").wait_for()
    assert Order.objects.filter(consumer=world.people["carla"]).count() == 2


def test_the_order_works_without_scripts(visit: Open, world: World) -> None:
    page = visit("carla", script=False)
    page.goto(reverse("order", args=[world.collective.pk]))
    page.get_by_role("radio").first.check()
    page.get_by_role("button", name="Next: limits").click()
    page.get_by_label("Budget").fill("100")
    page.get_by_role("button", name="Next: review").click()
    page.get_by_role("button", name="Fund escrow and start").click()
    page.get_by_text("The order is kept, but it is not funded").wait_for()


def test_the_keyboard_reaches_the_content_first(visit: Open, world: World) -> None:
    page = visit()
    page.goto(reverse("home"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
