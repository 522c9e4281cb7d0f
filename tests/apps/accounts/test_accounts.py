"""Accounts: e-mail only, several roles at once, the page that takes and leaves them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from marketplace.accounts.models import Account, Role, RoleGrant
from marketplace.demo.seed import seed_demo_accounts
from marketplace.settings import base
from tests.apps.cast import PASSWORD, World


def test_signing_up_makes_an_individual_and_consumer(db: None) -> None:
    answer = Client().post(
        reverse("account_signup"),
        {"email": "New@People.example", "password1": PASSWORD, "password2": PASSWORD},
    )
    assert answer.status_code == 302
    made = Account.objects.get(email__iexact="new@people.example")
    assert {grant.role for grant in made.roles.all()} == {Role.INDIVIDUAL, Role.CONSUMER}


def test_on_a_site_for_people_nobody_signs_in_before_the_address_is_confirmed(
    db: None, settings: Any
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = (
        base.ACCOUNT_EMAIL_VERIFICATION
    )  # this machine's own settings ask for none
    client = Client()
    words = {"email": "new@people.example", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post(reverse("account_signup"), words).url == reverse("account_email_verification_sent")
    assert client.get(reverse("wallet")).status_code == 302
    entered = {"login": "new@people.example", "password": PASSWORD}
    assert client.post(reverse("account_login"), entered).url == reverse("account_email_verification_sent")
    assert client.get(reverse("wallet")).status_code == 302
    link = re.search(r"/accounts/confirm-email/\S+/", str(mail.outbox[0].body))
    assert link is not None
    page = Client()  # as from the mail program: another window
    assert page.get(link[0]).status_code == 200
    assert client.post(reverse("account_login"), entered).url == reverse("account_email_verification_sent")
    page.post(link[0])
    signed_in = Client()
    assert signed_in.post(reverse("account_login"), entered).url != reverse("account_email_verification_sent")
    assert signed_in.get(reverse("wallet")).status_code == 200


def test_signing_in_by_email_and_out_by_post(world: World) -> None:
    client = Client()
    client.post(reverse("account_login"), {"login": "ivo@people.example", "password": PASSWORD})
    assert client.get(reverse("wallet")).status_code == 200
    client.get(reverse("account_logout"))
    assert client.get(reverse("wallet")).status_code == 200
    client.post(reverse("account_logout"))
    assert client.get(reverse("wallet")).status_code == 302


def test_a_wrong_password_says_so_and_signs_nobody_in(world: World) -> None:
    client = Client()
    answer = client.post(reverse("account_login"), {"login": "ivo@people.example", "password": "wrong"})
    assert "not correct" in answer.content.decode()
    assert client.get(reverse("wallet")).status_code == 302


def test_one_account_may_hold_several_roles(world: World) -> None:
    client = world.client("ivo")
    client.post(reverse("account"), {"roles": ["individual", "owner"]})
    world.people["ivo"].refresh_from_db()
    assert world.people["ivo"].has_role(Role.OWNER)
    assert client.get(reverse("console")).status_code == 200
    assert client.get(reverse("funds")).status_code == 403


def test_no_role_at_all_or_an_unknown_one_is_refused(world: World) -> None:
    client = world.client("ivo")
    answer = client.post(reverse("account"), {})
    assert answer.status_code == 422
    assert "Choose at least one role" in answer.content.decode()
    assert client.post(reverse("account"), {"roles": ["admin"]}).status_code == 422
    assert {grant.role for grant in world.people["ivo"].roles.all()} == {Role.INDIVIDUAL}


def test_nobody_becomes_staff_by_a_role(world: World) -> None:
    world.client("ivo").post(reverse("account"), {"roles": [role.value for role in Role], "is_staff": "on"})
    world.people["ivo"].refresh_from_db()
    assert not world.people["ivo"].is_staff


def test_the_database_refuses_an_unknown_role(db: None) -> None:
    with pytest.raises(IntegrityError):
        RoleGrant.objects.create(role="king")


def test_the_admin_lists_accounts_and_hides_pseudonyms(world: World) -> None:
    client = world.client("ada")
    assert "ivo@people.example" in client.get(reverse("admin:accounts_account_changelist")).content.decode()
    for name in ("walletlink", "pairingcode", "subscriptionlink", "noticechoice"):
        answer = client.get(reverse(f"admin:individuals_{name}_changelist"))
        assert answer.status_code == 200
        assert world.link.subscription_key not in answer.content.decode()
        assert client.get(reverse(f"admin:individuals_{name}_add")).status_code == 403
    shown = client.get(
        reverse("admin:individuals_subscriptionlink_change", args=[world.link.pk])
    ).content.decode()
    assert world.link.subscription_key not in shown
    assert "ivo@people.example" not in shown


def test_the_admin_is_for_administrators(world: World) -> None:
    for name in ("alice", "charlie", ""):
        assert world.client(name).get(reverse("admin:index")).status_code == 302


@pytest.mark.parametrize(
    ("who", "shown", "start"),
    [
        ("individual", {"/wallet/"}, "/wallet/"),
        ("consumer", {"/jobs/", "/funds/"}, "/jobs/"),
        ("author", {"/console/algorithms/"}, "/console/algorithms/"),
        ("owner", {"/console/", "/wallet/"}, "/"),
    ],
)
def test_the_menu_shows_what_a_role_can_open_and_signing_in_leads_there(
    client: Client, db: None, settings: Any, who: str, shown: set[str], start: str
) -> None:
    settings.DEVELOPMENT = True
    login = next(found for found in seed_demo_accounts() if found.role == who)

    answer = client.post("/accounts/login/", {"login": login.email, "password": login.password})
    menu = client.get("/").content.decode().split("</nav>")[0]

    assert answer["Location"] == start
    everything = ("/wallet/", "/jobs/", "/funds/", "/console/", "/console/algorithms/")
    assert {path for path in everything if f'href="{path}"' in menu} == shown
    for path in shown:
        assert client.get(path).status_code == 200
