"""Every address that has a name is walked as a page (`addresses`, and from there by axe), or it is said here why it is none."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import override_settings
from django.urls import get_resolver, path, resolve, reverse

from marketplace import urls
from marketplace.catalogue.views import how
from tests.apps.cast import World, uuid_of_nobody
from tests.apps.pages.addresses import FILES, ROLES, pages

pytestmark = pytest.mark.django_db(databases="__all__")
ACT = "an act: sent by a form and answered with another page"
FILE = "a file: saved, or loaded by a page"
PART = "a part of a page: fetched by its script"
WALLET = "for wallets and collectives, as JSON"
PROBE = "for who runs the site: a line of text or figures"
NOT_PAGES = {
    "account-export": FILE,
    "account_confirm_login_code": "signing in by a code from a letter is off; it leads to signing in",
    "api-token-delete": ACT,
    "audit-file": FILE,
    "browser-wallet": "the wallet in a tab: screens of its own, looked at by tests/e2e/test_wallet_app.py",
    "browser-wallet-file": FILE,
    "checkpoint": FILE,
    "collective-preview": PART,
    "collective-price": ACT,
    "collective-state": ACT,
    "data-tool": "a file that is a page: looked at by tests/e2e/test_data_tool.py",
    "forget": ACT,
    "funds-add": ACT,
    "funds-bring": ACT,
    "funds-permit": ACT,
    "funds-send": ACT,
    "health": PROBE,
    "issuer-collect": WALLET,
    "issuer-collect-unlinkable": WALLET,
    "issuer-form": FILE,
    "issuer-received": WALLET,
    "issuer-revocations": WALLET,
    "issuer-revoke": ACT,
    "issuer-status": WALLET,
    "issuer-tails": WALLET,
    "issuer-unlinkable": ACT,
    "job-act": ACT,
    "job-metric": ACT,
    "language": ACT,
    "metrics": PROBE,
    "mfa_download_recovery_codes": FILE,
    "mfa_login_webauthn": "asked by a script for a challenge; it leads to signing in",
    "model-buy": ACT,
    "model-card": FILE,
    "model-file": FILE,
    "model-offer": ACT,
    "model-withdraw": ACT,
    "order-approve": ACT,
    "order-return": ACT,
    "ready": PROBE,
    "revoke": ACT,
    "wallet-remove": ACT,
    "wallet-rename": ACT,
}
PAGES_OF_THEIR_OWN = {"browser-wallet", "browser-wallet-file"}
"""The only ones that answer with HTML to show."""
ADMIN = "admin"
"""Django's lists and rows of every model, opened one by one by tests/apps/admin; the first page is walked with all others."""
EXAMPLES = {
    "number": 0,
    "token_id": uuid_of_nobody(),
    "verb": "stop",
    "issuer-form name": "form.js",
}


def addresses() -> dict[str, list[str]]:
    """The names of the arguments of every named address, but for the administration's and the API's, which answers in JSON."""
    known = get_resolver().reverse_dict
    found = {name: known.getlist(name)[0][0][0] for name in known if isinstance(name, str)}
    return {name: arguments for name, (place, arguments) in found.items() if not place.startswith("api/")}


def walked(world: World) -> dict[str, dict[str, Any]]:
    """The names of the addresses that `pages` opens, with the arguments it opens them with."""
    found = [resolve(urlsplit(page.url).path) for page in pages(world)]
    return {match.view_name: match.kwargs for match in found}


def forgotten(world: World) -> set[str]:
    return {*addresses()} - {*walked(world)} - {*NOT_PAGES}


def test_every_named_address_is_walked_or_says_why_not(world: World) -> None:
    assert forgotten(world) == set()
    assert {*NOT_PAGES} <= {*addresses()}, "these are gone"
    assert {*NOT_PAGES} & {*walked(world)} == {*FILES}, "walked for who may have it"
    assert len(addresses()) > 100
    assert [*get_resolver().namespace_dict] == [ADMIN]


def test_a_forgotten_page_is_found(world: World) -> None:
    with override_settings(ROOT_URLCONF=(*urls.urlpatterns, path("new/", how, name="new"))):
        assert forgotten(world) == {"new"}


def test_what_is_said_to_be_no_page_shows_none_to_anybody(world: World) -> None:
    known = {name: value for kwargs in walked(world).values() for name, value in kwargs.items()} | EXAMPLES
    clients = {who: world.client(who) for who in (*ROLES, "mia", "charlie")}
    answered: dict[str, set[int]] = {name: set() for name in NOT_PAGES}
    for name, wanted in addresses().items():
        if name not in NOT_PAGES or name in PAGES_OF_THEIR_OWN:
            continue
        kwargs = {one: known[f"{name} {one}" if f"{name} {one}" in known else one] for one in wanted}
        for who, client in clients.items():
            answer = client.get(reverse(name, kwargs=kwargs))
            answered[name].add(answer.status_code)
            shown = answer.status_code == 200 and "html" in answer["Content-Type"]
            assert not shown or "attachment" in answer.get("Content-Disposition", ""), (name, who)
    for name, reason in NOT_PAGES.items():
        if reason == ACT:
            assert answered[name] <= {302, 403, 405}, (name, answered[name])
            assert 405 in answered[name], name
