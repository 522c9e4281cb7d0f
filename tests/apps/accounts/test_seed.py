"""Demo log-ins: for every role, the same when made again, never on a site for people."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse

from collectives.models import Collective
from marketplace.accounts.models import Account
from marketplace.demo import seed


def test_every_demo_log_in_signs_in(db: None) -> None:
    for login in seed.seed_demo_accounts():
        client = Client()
        client.post(reverse("account_login"), {"login": login.email, "password": login.password})
        assert client.get(reverse("account")).status_code == 200, login.role


def test_seeding_again_changes_nothing(db: None) -> None:
    call_command("seed_demo")
    first = seed.seed_demo_accounts()
    call_command("seed_demo")
    assert seed.seed_demo_accounts() == first
    assert Account.objects.count() == len(seed.CAST)
    assert Collective.objects.count() == 1


def test_a_site_for_people_gets_no_demo_log_ins(db: None, settings: pytest.FixtureRequest) -> None:
    settings.DEVELOPMENT = False  # type: ignore[attr-defined]
    with pytest.raises(CommandError):
        call_command("seed_demo")
    assert Account.objects.count() == 0


def test_only_where_the_site_lowers_minima_the_demo_collective_does_and_says_so(
    db: None, settings: Any
) -> None:
    settings.DEVELOPMENT_MINIMA = True
    seed.seed_demo_accounts()
    terms = seed.seed_demo_collective().terms.first().document

    assert (terms["development"], terms["release_min"], terms["bucket_min"]) == (True, 20, 10)
    assert len(terms["permitted_manifests"]) == 1, "who subscribes has agreed with the algorithm it was shown"
