"""Signing in with a passkey in a real Chromium, with the browser's own virtual authenticator."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.urls import reverse

from tests.apps.cast import PASSWORD, World
from tests.e2e.conftest import Open

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True, databases=["default", "distributor"])]
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def test_a_passkey_is_added_and_signs_in_without_a_password(visit: Open, world: World) -> None:
    cache.clear()
    page = visit()
    tools = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    page.goto(reverse("account_login"))
    page.get_by_label("Email").fill("ivo@people.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign In", exact=True).click()
    page.wait_for_url("**/")
    page.goto(reverse("mfa_add_webauthn"))
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main form button").first.click()
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add").click()
    page.get_by_text("recovery codes").first.wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.goto(reverse("account_login"))
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_role("button", name="Sign out").wait_for()
    page.goto(reverse("wallet"))
    page.get_by_role("heading", name="My wallet").wait_for()
