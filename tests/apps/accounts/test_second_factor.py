"""Second factors: a code from an app after the password, recovery codes once each, passkeys offered; guesses are slowed down."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth
from django.test import Client
from django.urls import reverse

from tests.apps.cast import PASSWORD, World


@pytest.fixture(autouse=True)
def within_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A code of the step before is taken, of two before it is not: no step ends while a test runs."""
    now = time.time()
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: now))


def code(secret: str, ahead: int = 0) -> str:
    """RFC 6238 with steps of 30 seconds."""
    return str(auth.format_hotp_value(auth.hotp_value(secret, int(auth.time.time()) // 30 + ahead)))


def signed_in(name: str = "ivo") -> Client:
    client = Client()
    client.post(reverse("account_login"), {"login": f"{name}@people.example", "password": PASSWORD})
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def with_app(client: Client) -> str:
    page = client.get(reverse("mfa_activate_totp")).content.decode()
    secret = re.search(r'value="([A-Z2-7]{16,})"', page)
    assert secret is not None, page
    client.post(reverse("mfa_activate_totp"), {"code": code(secret[1], -1)})
    return secret[1]


def asked_for_a_code() -> Client:
    client = Client()
    answer = client.post(reverse("account_login"), {"login": "ivo@people.example", "password": PASSWORD})
    assert answer.url == reverse("mfa_authenticate")
    return client


def test_the_password_alone_is_not_enough_any_more(world: World) -> None:
    secret = with_app(signed_in())
    assert Authenticator.objects.filter(user=world.people["ivo"], type="totp").count() == 1
    client = asked_for_a_code()
    assert client.get(reverse("wallet")).status_code == 302
    wrong = f"{(int(code(secret)) + 500_000) % 1_000_000:06d}"
    assert "Incorrect code" in client.post(reverse("mfa_authenticate"), {"code": wrong}).content.decode()
    assert client.get(reverse("wallet")).status_code == 302
    client.post(reverse("mfa_authenticate"), {"code": code(secret)})
    assert client.get(reverse("wallet")).status_code == 200


def test_a_code_is_good_once(world: World) -> None:
    secret = with_app(signed_in())
    used = code(secret)
    asked_for_a_code().post(reverse("mfa_authenticate"), {"code": used})
    again = asked_for_a_code()
    again.post(reverse("mfa_authenticate"), {"code": used})
    assert again.get(reverse("wallet")).status_code == 302


def test_a_recovery_code_is_good_once(world: World) -> None:
    client = signed_in()
    with_app(client)
    page = client.get(reverse("mfa_download_recovery_codes")).content.decode()
    one = re.findall(r"^[0-9a-z]{8,}$", page, re.M)[0]
    first, second = asked_for_a_code(), asked_for_a_code()
    first.post(reverse("mfa_authenticate"), {"code": one})
    assert first.get(reverse("wallet")).status_code == 200
    second.post(reverse("mfa_authenticate"), {"code": one})
    assert second.get(reverse("wallet")).status_code == 302


def test_adding_a_factor_asks_for_the_password_again(world: World) -> None:
    answer = world.client("ivo").get(reverse("mfa_activate_totp"))
    assert answer.status_code == 302
    assert answer.url.startswith(reverse("account_reauthenticate"))


def test_guessing_a_password_is_slowed_down(world: World) -> None:
    client = Client()
    for _ in range(6):
        answer = client.post(reverse("account_login"), {"login": "ivo@people.example", "password": "guess"})
    right = {"login": "ivo@people.example", "password": PASSWORD}
    assert "Too many failed login attempts" in client.post(reverse("account_login"), right).content.decode()
    assert answer.status_code in (200, 429)


@pytest.mark.parametrize(
    "name", ["mfa_index", "mfa_activate_totp", "mfa_list_webauthn", "mfa_add_webauthn", "account_login"]
)
def test_pages_of_factors_run_no_inline_script(world: World, name: str) -> None:
    client = signed_in() if name != "account_login" else Client()
    answer = client.get(reverse(name))
    text = answer.content.decode()
    assert answer.status_code == 200
    inline = [
        tag
        for tag in re.findall(r"<script[^>]*>", text)
        if "src=" not in tag and "application/json" not in tag
    ]
    assert inline == []
    assert not re.search(r"\son\w+=|\sstyle=", text)
