"""Four processes, four databases, four sets of keys: each opens only its own, and it is the servers that refuse the rest."""

from __future__ import annotations

import base64
import itertools
import json
import os
import time
import uuid
from pathlib import Path

import httpx
import psycopg
import pytest
import redis
import websockets

from aggregation.wire import http
from aggregation.wire.secret import Secret
from marketplace.settings.roles import KEY_FILES
from tests.production.site import DOMAIN, ROLES, Site

OTHERS = list(itertools.permutations(ROLES, 2))


def test_every_role_runs_on_its_own_and_says_what_it_holds(site: Site) -> None:
    for role in ROLES:
        assert httpx.get(f"{site.url(role)}/healthz", trust_env=False).json() == {"ok": True, "roles": [role]}
        alias = "default" if role == "web" else role
        parts = httpx.get(f"{site.url(role)}/readyz", trust_env=False).json()["parts"]
        assert parts == {f"database:{alias}": True, f"tables:{alias}": True, "cache": True}


@pytest.mark.parametrize(("role", "other"), OTHERS)
def test_the_database_refuses_the_login_of_another_role(site: Site, role: str, other: str) -> None:
    with psycopg.connect(site.postgres.url(DOMAIN[role])) as own:
        assert own.execute("SELECT count(*) FROM django_migrations").fetchone()[0] > 0
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(site.postgres.url(DOMAIN[role], database=DOMAIN[other]))


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_not_make_logins_or_become_another(site: Site, role: str) -> None:
    other = ROLES[(ROLES.index(role) + 1) % len(ROLES)]
    with psycopg.connect(site.postgres.url(DOMAIN[role]), autocommit=True) as own:
        for refused in ("CREATE ROLE another", "CREATE DATABASE another", f"SET ROLE {DOMAIN[other]}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                own.execute(refused)


@pytest.mark.parametrize(("role", "other"), OTHERS)
def test_redis_refuses_the_keys_and_channels_of_another_role(site: Site, role: str, other: str) -> None:
    own = redis.from_url(site.redis.url(role))
    own.set(f"{role}:cache:x", 1, 5)
    for attempt in (
        lambda: own.get(f"{other}:cache:x"),
        lambda: own.publish(f"{other}:asgi", "x"),
        own.flushall,
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            attempt()


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_given_its_own_keys_alone(site: Site, role: str) -> None:
    folder = Path(site.environment(role)["CSSI_KEYS_DIR"])
    assert {path.name for path in folder.iterdir()} == {*KEY_FILES[role], "django.key", "public.json"}


@pytest.mark.parametrize("role", ["distributor", "aggregator", "issuer"])
def test_a_role_without_pages_loads_no_account_and_no_other_role(site: Site, role: str) -> None:
    program = """
import json, sys, django
django.setup()
import marketplace.asgi
from django.apps import apps
from django.db import connections
models = sorted({model._meta.app_label for model in apps.get_models()})
others = [name for name in ("marketplace.accounts.models", "collectives.models", "wallets.distributor.models",
    "aggregation.server.models", "attestation.desk.models", "web3", "torch") if name in sys.modules]
print(json.dumps([models, others, [a for a in connections if connections[a].vendor == "postgresql"]]))
"""
    done = site.run(role, "-c", program)
    assert done.returncode == 0, done.stderr
    module = {
        "distributor": "wallets.distributor",
        "aggregator": "aggregation.server",
        "issuer": "attestation.desk",
    }
    assert json.loads(done.stdout) == [[role], [f"{module[role]}.models"], [role]]


def test_a_missing_secret_stops_the_start_and_is_named(site: Site) -> None:
    done = site.run(
        "aggregator", "manage.py", "check", AGGREGATOR_DATABASE_URL_FILE="", DJANGO_SECRET_KEY_FILE=""
    )
    assert done.returncode != 0
    assert "DJANGO_SECRET_KEY" in done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_the_deployment_check_has_nothing_to_say(site: Site, role: str) -> None:
    site.manage(role, "check", "--deploy", "--fail-level", "WARNING")


def test_the_deployment_check_finds_a_key_of_another_role(site: Site) -> None:
    stray = Path(site.environment("issuer")["CSSI_KEYS_DIR"]) / "aggregator.key"
    stray.write_text("00" * 32)
    try:
        done = site.run("issuer", "manage.py", "check", "--deploy")
    finally:
        stray.unlink()
    assert done.returncode != 0
    assert "trust.E004" in done.stderr


def signed(site: Site, role: str, key: str, path: str) -> dict[str, str]:
    secret = Secret(bytes.fromhex((site.folder / "keys" / role / key).read_text()))
    sender = key.removesuffix(".key")
    header = http.sign_request(
        role=sender,
        private=secret,
        method="GET",
        path=path,
        body=b"",
        now=int(time.time()),
        nonce=os.urandom(16),
    )
    return {"Authorization": header}


def test_roles_speak_to_each_other_signed_and_only_about_what_is_theirs(site: Site) -> None:
    path = "/internal/aggregator/signing-requests"
    fine = httpx.get(
        site.url("aggregator") + path, headers=signed(site, "distributor", "distributor.key", path)
    )
    assert (fine.status_code, fine.json()) == (200, [])
    market = httpx.get(site.url("aggregator") + path, headers=signed(site, "web", "market.key", path))
    assert (market.status_code, market.json()["code"]) == (403, "forbidden")
    unsigned = httpx.get(site.url("aggregator") + path)
    assert unsigned.status_code == 401
    forged = signed(site, "distributor", "distributor.key", path)
    forged["Authorization"] = forged["Authorization"][:-6] + base64.b64encode(os.urandom(4))[:6].decode()
    assert httpx.get(site.url("aggregator") + path, headers=forged).status_code == 401
    elsewhere = httpx.get(
        site.url("issuer") + path, headers=signed(site, "distributor", "distributor.key", path)
    )
    assert elsewhere.status_code in {301, 404}


def over_tls(site: Site, path: str, **headers: str) -> httpx.Response:
    """As the proxy passes a request on."""
    passed = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7", **headers}
    return httpx.get(site.url("web") + path, headers=passed, trust_env=False)


def test_a_browser_is_told_to_stay_on_tls_and_to_load_nothing_from_elsewhere(site: Site) -> None:
    page = over_tls(site, "/accounts/login/")
    assert page.status_code == 200
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    cookies = page.headers.get_list("Set-Cookie")
    assert cookies
    for cookie in cookies:
        assert {"Secure", "HttpOnly", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}, cookie


def test_a_request_in_the_clear_is_sent_to_tls_and_a_strange_host_is_refused(site: Site) -> None:
    clear = httpx.get(f"{site.url('web')}/accounts/login/", trust_env=False)
    assert clear.status_code == 301
    assert clear.headers["Location"].startswith("https://")
    assert over_tls(site, "/", Host="elsewhere.example").status_code == 400


async def test_a_page_of_another_site_cannot_open_our_socket(site: Site) -> None:
    address = site.url("web").replace("http:", "ws:") + f"/ws/jobs/{uuid.uuid4()}/"
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        async with websockets.connect(address, origin="https://elsewhere.example"):
            pass
    assert refused.value.response.status_code == 403


def test_a_body_nobody_asked_for_is_refused_without_being_kept(site: Site) -> None:
    answer = httpx.post(
        f"{site.url('web')}/accounts/login/",
        content=b"x" * (5 * 1024 * 1024),
        headers={"X-Forwarded-Proto": "https"},
        trust_env=False,
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
