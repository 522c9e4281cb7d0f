"""Signing in through another service: nothing of it without a provider, all of it with one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import environ
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from marketplace.settings import social

ROOT = Path(__file__).resolve().parent.parent.parent.parent
NAMED = {
    "CSSI_OIDC_SERVER": "https://login.example.org/realms/people",
    "CSSI_OIDC_NAME": "The Example Login",
    "CSSI_OIDC_CLIENT": "market",
    "CSSI_OIDC_SECRET": "s3cret",
}


def laid(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> dict[str, Any]:
    for name, value in (NAMED | changes).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    return social.of(environ.Env(), ["first"], settings.CONTENT_SECURITY_POLICY)


def test_without_a_provider_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert laid(monkeypatch, CSSI_OIDC_SERVER=None) == {}
    assert not any("socialaccount" in app for app in settings.INSTALLED_APPS)


def test_a_provider_may_be_reached_by_the_form_that_begins_a_log_in_and_by_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = laid(monkeypatch)
    assert found["INSTALLED_APPS"] == ["first", *social.APPS]
    before = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    after = found["CONTENT_SECURITY_POLICY"]["DIRECTIVES"]
    assert {name for name in after if after[name] != before[name]} == {"form-action"}
    assert after["form-action"] == [*before["form-action"], "https://login.example.org"]


@pytest.mark.parametrize(
    "changes", [{"CSSI_OIDC_SERVER": "http://login.example.org"}, {"CSSI_OIDC_SECRET": None}]
)
def test_half_a_provider_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str | None]
) -> None:
    with pytest.raises(ImproperlyConfigured):
        laid(monkeypatch, **changes)


LOOKING = """
import django; django.setup()
from django.core.management import call_command
from django.test import Client
call_command("check", fail_level="WARNING")
call_command("migrate", database="default", verbosity=0)
page = Client().get("/accounts/login/", headers={"host": "127.0.0.1"})
assert page.status_code == 200
assert "The Example Login" in page.content.decode()
assert "/accounts/oidc/oidc/login/" in page.content.decode()
assert "form-action 'self' https://login.example.org" in page.headers["Content-Security-Policy"]
print("offered")
"""


@pytest.mark.long
def test_the_log_in_page_offers_it(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CSSI_", "DJANGO_", "PYTEST_"))}
    environment |= NAMED | {"CSSI_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "marketplace.settings.local"}
    done = subprocess.run(
        [sys.executable, "-c", LOOKING],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip().endswith("offered"), done.stdout + done.stderr
