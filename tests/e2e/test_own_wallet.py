"""Adding funds from a wallet in the browser: a provider put into the page (EIP-1193) signs with a real key, under the strict policy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.urls import reverse
from eth_account import Account as EthAccount
from playwright.sync_api import Page

from marketplace.settlement import outbox, selectors
from marketplace.settlement.chain import encode_call
from marketplace.settlement.models import FundsMovement
from tests.apps.cast import World
from tests.apps.settlement.conftest import TOKEN, ChainProcess, deployed, devchain, lay, settle
from tests.apps.settlement.test_money import balance
from tests.e2e.conftest import Open, apart

__all__ = ["deployed", "devchain", "lay"]
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"]),
]
OWN = EthAccount.from_key(bytes(range(3, 35)))
PROVIDER = """
window.asked = [];
window.ethereum = {
  request: async ({ method, params }) => {
    window.asked.push(method);
    if (method === "eth_requestAccounts") return ["OWNER"];
    if (method === "eth_chainId") return window.chain;
    if (method === "eth_signTypedData_v4") {
      if (window.refuse) throw Object.assign(new Error("User rejected the request."), { code: 4001 });
      if (params[0] !== "OWNER") throw new Error("another account");
      return await window.signTypedData(params[1]);
    }
    throw Object.assign(new Error(method), { code: 4200 });
  },
};
""".replace("OWNER", OWN.address.lower())


def sign(text: str) -> str:
    return "0x" + bytes(EthAccount.sign_typed_data(OWN.key, full_message=json.loads(text)).signature).hex()


def minted() -> None:
    mint = encode_call("DevToken", "mint", [OWN.address, 5 * TOKEN])
    outbox.enqueue(key="mint:own", purpose="faucet", to=selectors.address("DevToken"), data=mint, gas=120_000)
    settle()


def told(page: Page, amount: str) -> str:
    """Press the button and read what the page says about it."""
    form = page.locator("[data-own-wallet]")
    form.get_by_label("Amount").fill(amount)
    form.get_by_role("button", name="Sign in my wallet").click()
    status = page.locator("[data-own-wallet-status][data-kind=bad]")
    status.wait_for()
    return status.inner_text()


def test_a_permit_signed_in_the_browser_brings_its_amount(
    deployed: ChainProcess, world: World, visit: Open
) -> None:
    apart(minted)
    page = visit("carla")
    blocked: list[str] = []
    page.on("console", lambda line: blocked.append(line.text) if "Content Security" in line.text else None)
    page.goto(reverse("funds"))
    assert "has no wallet" in told(page, "2")

    page.expose_function("signTypedData", sign)
    page.add_init_script(PROVIDER)
    page.reload()
    page.evaluate("window.chain = '0x1'")
    assert "is on chain 1, this site uses chain 1337" in told(page, "2")
    page.evaluate("window.chain = '0x539'; window.refuse = true")
    assert told(page, "2") == "You refused in your wallet. Nothing was signed."
    page.evaluate("window.refuse = false")
    assert "holds 5 OCEAN and you asked for 6.5: 1.5 are missing" in told(page, "6.5")
    assert apart(FundsMovement.objects.count) == 0

    page.locator("[data-own-wallet]").get_by_label("Amount").fill("2.000000000000000001")
    page.get_by_role("button", name="Sign in my wallet").click()
    page.get_by_text("are on their way").wait_for()
    apart(settle)
    page.reload()

    row: Any = page.get_by_role("row").filter(has_text="brought from your own wallet").first
    assert "2.000000000000000001" in row.inner_text()
    assert "confirmed" in row.inner_text()
    assert apart(lambda: balance(OWN.address)) == 3 * TOKEN - 1
    assert blocked == []
