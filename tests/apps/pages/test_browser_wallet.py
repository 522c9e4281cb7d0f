"""The wallet in a browser as it is served: the files of the published list, under its own policy, the same for everybody."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from marketplace import browser_wallet
from tests.apps.cast import World

IMPORTED = re.compile(r"""(?:from|import)\s+"(\.[^"]+)"|new URL\("(\.[^"]+)\"""")


def test_the_published_list_is_of_these_files() -> None:
    listed = json.loads(browser_wallet.LISTED.read_text(encoding="utf-8"))
    assert listed == browser_wallet.fingerprints(), "run `manage.py wallet_files` and commit the list"


def test_what_is_sent_is_what_is_listed_under_the_strict_policy(client: Client) -> None:
    listed = json.loads(client.get("/wallet-app/files.json").content)["files"]
    assert len(listed) > 60
    for name, wanted in listed.items():
        answer = client.get(f"/wallet-app/{'' if name == 'index.html' else name}")
        assert answer.status_code == 200, name
        assert sha256(answer.content).hexdigest() == wanted, name
        assert answer["Content-Security-Policy"] == browser_wallet.policy(), name
        assert not answer.cookies, name
    assert client.get("/wallet-app/page/app.js")["Content-Type"].startswith("text/javascript")


def test_the_policy_allows_this_site_and_the_sockets_of_rounds_only(settings: Any) -> None:
    settings.DISTRIBUTOR_URL, settings.AGGREGATOR_URL = "https://rounds.example/x", "http://127.0.0.1:8001"
    directives = dict(part.split(" ", 1) for part in browser_wallet.policy().split("; "))
    assert directives["default-src"] == directives["frame-ancestors"] == directives["form-action"] == "'none'"
    assert directives["script-src"] == directives["worker-src"] == directives["style-src"] == "'self'"
    assert directives["require-trusted-types-for"] == "'script'"
    assert directives["connect-src"] == (
        "'self' http://127.0.0.1:8001 https://rounds.example ws://127.0.0.1:8001 wss://rounds.example"
    )
    assert "unsafe" not in browser_wallet.policy()


def test_every_import_leads_to_a_listed_file() -> None:
    files = browser_wallet.files()
    for name, file in files.items():
        for groups in IMPORTED.findall(file.read_text(encoding="utf-8")):
            target = "/".join((*name.split("/")[:-1], "".join(groups)))
            while "/../" in f"/{target}":
                target = re.sub(r"(^|/)[^/.]+/\.\./", r"\1", target, count=1)
            assert target.replace("./", "") in files, f"{name} imports {target}"


def test_each_module_of_the_wallet_names_its_twin_and_stays_short() -> None:
    modules = [file for file in browser_wallet.files().values() if file.parent.name in {"wallet", "tab"}]
    assert len(modules) > 50
    for file in modules:
        lines = file.read_text(encoding="utf-8").splitlines()
        assert re.search(r"\btwins?\b", " ".join(lines[:4]), re.IGNORECASE), file.name
        assert len(lines) <= 400, file.name


@pytest.mark.parametrize(
    "name", ["settings.py", "page/../../manage.py", "README.md", "package.json", "page/", "page"]
)
def test_nothing_else_is_served(client: Client, name: str) -> None:
    assert client.get(f"/wallet-app/{name}").status_code == 404


def test_a_file_that_is_known_is_not_sent_again(client: Client) -> None:
    first = client.get("/wallet-app/vault.js")
    again = client.get("/wallet-app/vault.js", headers={"if-none-match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    # A browser replaces the headers of what it kept by these (RFC 9111, section 3.2).
    assert {*browser_wallet.HEADERS, "Content-Security-Policy", "ETag"} <= set(again.headers)
    assert {name: first[name] for name in again.headers if name != "Content-Length"} == {
        name: value for name, value in again.headers.items() if name != "Content-Length"
    }
    assert client.post("/wallet-app/vault.js").status_code == 405


@pytest.mark.django_db(databases=["default", "distributor"])
def test_the_market_leads_to_it(world: World) -> None:
    assert reverse("browser-wallet") in world.client("ivo").get(reverse("pair")).content.decode()
