"""A collective's page leads a wallet to its terms, by a link that the wallet reads and by the same link drawn."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.urls import reverse

from marketplace.individuals import qr
from tests.apps.cast import World
from wallets.agent import linking, server

pytestmark = pytest.mark.django_db(databases=["default", "distributor"])


def test_a_collectives_page_leads_a_wallet_to_its_terms(world: World, settings: Any) -> None:
    page = world.client("").get(reverse("collective", args=[world.collective.pk])).content.decode()
    given = html.unescape(page.split('id="wallet-link" readonly value="')[1].split('"')[0])
    description = world.client("").get("/api/v1/server").json()
    assert linking.parse_subscription(given) == linking.SubscriptionLink(
        collective=str(world.collective.pk), url=settings.SITE_URL, pin=server.pin_of(description)
    )
    assert f"{qr.drawn(given)}</div>" in page
    assert qr.drawn(given) != qr.drawn(f"{given}0")


def test_a_suspended_collective_leads_nobody_to_it(world: World) -> None:
    world.collective.status = "suspended"
    world.collective.save(update_fields=["status"])
    page = world.client("").get(reverse("collective", args=[world.collective.pk])).content.decode()
    assert "cssi://subscribe" not in page
