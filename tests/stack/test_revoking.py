"""Revoking with the other side down: what the wallet does alone, what the page says, and that nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stack.small import RATE, Browser, SmallStack, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(280)]

# Each of these wallets leaves in one test and takes part in none after it.
BY_WALLET, BY_WEB_WITHOUT_DISTRIBUTOR, BY_WEB_WITHOUT_WALLET = 11, 10, 9


def page(small_stack: SmallStack, number: int) -> tuple[Browser, str]:
    """The person signed in, and the address of their subscription's page."""
    browser = Browser(small_stack.url, small_stack.people[number])
    return browser, f"/wallet/subscriptions/{small_stack.link(number)['id']}/"


def refuses_from_now_on(small_stack: SmallStack, number: int) -> None:
    """A whole job passes by without a visit of this wallet."""
    before = len(small_stack.proven(number))
    job = small_stack.order(budget=100 * RATE, max_rounds=1)
    told = small_stack.until_closed(job)
    assert told["earned"] > 0, told
    assert len(small_stack.proven(number)) == before


def test_revoking_on_the_web_while_the_wallet_service_is_down(small_stack: SmallStack) -> None:
    number = BY_WEB_WITHOUT_DISTRIBUTOR
    browser, address = page(small_stack, number)
    small_stack.distributor_line.close()
    try:
        text = browser.post(f"{address}revoke/").text
        assert "Revoked on this site" in text
        assert "Pending:" in text
        known = small_stack.link(number)
        assert (known["status"], known["ended_by"]) == ("revoked", "web")
        assert (known["collective"], known["revoked_by"]) == ("revoked", "web")
        assert (known["distributor"], known["waiting"]) == ("active", 1)
        assert small_stack.permits(number) == [small_stack.collective]
    finally:
        small_stack.distributor_line.open()
    until(lambda: small_stack.permits(number) == [], seconds=60, what="the order to reach the wallet")
    known = small_stack.link(number)
    assert (known["distributor"], known["waiting"]) == ("stopped", 0)
    text = browser.get(address).text
    assert "Pending:" not in text
    assert "We stopped asking your wallet at once" in text


def test_revoking_on_the_web_while_the_wallet_is_off(small_stack: SmallStack) -> None:
    number = BY_WEB_WITHOUT_WALLET
    browser, address = page(small_stack, number)
    small_stack.hosts.call(number, "disconnect")
    assert "Revoked on this site" in browser.post(f"{address}revoke/").text
    until(
        lambda: "deletes its permit at its next contact" in browser.get(address).text,
        seconds=30,
        what="the page to say what follows",
    )
    until(lambda: small_stack.link(number)["distributor"] == "stopped", seconds=30, what="the stop")
    assert small_stack.link(number)["collective"] == "revoked"
    assert small_stack.permits(number) == [small_stack.collective]
    small_stack.connect(number)
    until(lambda: small_stack.permits(number) == [], seconds=30, what="the wallet to hear of it")
    kinds = [entry["kind"] for entry in small_stack.hosts.call(number, "visits")["entries"]]
    assert kinds[-1] == "revoked"


def test_revoking_in_the_wallet_while_every_server_is_down(small_stack: SmallStack) -> None:
    number = BY_WALLET
    subscribed = small_stack.link(number)
    assert subscribed["status"] == "subscribed"
    small_stack.serve.stop()
    said = small_stack.hosts.call(number, "revoke", collective=small_stack.collective)
    assert said["milliseconds"] < 1000
    assert (said["erased"], said["servers_told"]) == (True, False)
    assert small_stack.permits(number) == []
    assert _entries(small_stack, number)[-1]["kind"] == "revoked"
    # Only the wallet knows so far.
    assert small_stack.link(number)["status"] == "subscribed"
    small_stack.serve.start()
    until(lambda: small_stack.link(number)["status"] == "revoked", seconds=90, what="the wallet to tell")
    until(lambda: small_stack.link(number)["distributor"] == "stopped", seconds=30, what="the stop")
    known = small_stack.link(number)
    assert (known["ended_by"], known["collective"], known["revoked_by"]) == ("wallet", "revoked", "wallet")
    until(lambda: small_stack.link(number)["waiting"] == 0, seconds=30, what="the letters to be answered")
    browser, address = page(small_stack, number)
    assert "Revoked in your wallet" in browser.get(address).text
    refuses_from_now_on(small_stack, number)


def test_nothing_of_the_others_was_lost(small_stack: SmallStack) -> None:
    """After the restart every other person is still subscribed, and all money adds up."""
    gone = {BY_WALLET, BY_WEB_WITHOUT_DISTRIBUTOR, BY_WEB_WITHOUT_WALLET}
    for number in set(range(len(small_stack.people))) - gone:
        known = small_stack.link(number)
        assert (known["status"], known["collective"], known["distributor"]) == (
            "subscribed",
            "active",
            "active",
        )
        assert small_stack.permits(number) == [small_stack.collective]
    visits = small_stack.visits()
    assert small_stack.paid() == {number: count * RATE for number, count in visits.items()}


def _entries(small_stack: SmallStack, number: int) -> list[dict[str, Any]]:
    return list(small_stack.hosts.call(number, "visits")["entries"])
