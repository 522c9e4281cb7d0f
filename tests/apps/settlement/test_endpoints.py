"""Two endpoints that must agree, a ceiling for fees, keys that run low, and where keys come from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from eth_account import Account as EthAccount

from marketplace.accounts.models import Account
from marketplace.settlement import alarms, keys, outbox, services
from marketplace.settlement.chain import Chain, Receipt, chain
from marketplace.settlement.errors import ChainUnavailable, FeesTooHigh
from marketplace.settlement.keys import LocalSigner
from marketplace.settlement.models import ChainTransaction, Signer
from tests.apps.cast import account
from tests.apps.settlement.conftest import TOKEN, ChainProcess, settle

DATABASES = ["default", "distributor", "aggregator"]
money = pytest.mark.django_db(transaction=True, databases=DATABASES)
PRIVATE = bytes(range(1, 33))


class Other:
    """A second endpoint that says something else about receipts."""

    def __init__(self, real: Chain) -> None:
        self._real, self.lie = real, "behind"

    def receipt(self, digest: str) -> Receipt | None:
        found = self._real.receipt(digest)
        assert found is not None
        if self.lie == "behind":
            return None
        if self.lie == "forked":
            return replace(found, block_hash="0x" + "00" * 32)
        if self.lie == "reverted":
            return replace(found, ok=False)
        return found


@money
@pytest.mark.parametrize("lie", ["behind", "forked", "reverted"])
def test_nothing_is_final_before_both_endpoints_say_so(
    consumer: Account, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    other = Other(chain())
    other.lie = lie
    monkeypatch.setattr(outbox, "second_opinion", lambda: other)
    services.faucet(consumer, TOKEN)
    for _ in range(5):
        services.sweep()
    rows = ChainTransaction.objects.filter(purpose="faucet", key__endswith=":1")
    assert set(rows.values_list("state", "error")) == {
        ("mined", "the second endpoint does not confirm it yet")
    }

    other.lie = ""
    settle()

    assert set(rows.values_list("state", "error")) == {("confirmed", "")}


@money
def test_the_second_endpoint_serves_the_pinned_chain_or_nothing_is_confirmed(
    deployed: ChainProcess, settings: Any
) -> None:
    settings.CHAIN_CONFIRM_RPC_URL = "http://127.0.0.1:9"
    services.faucet(account("carla"), TOKEN)
    for _ in range(3):
        services.sweep()

    assert set(ChainTransaction.objects.filter(key__startswith="mint:").values_list("state", flat=True)) == {
        "mined"
    }


@money
def test_above_the_ceiling_nothing_is_signed_and_what_was_signed_goes_on(
    consumer: Account, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.faucet(consumer, TOKEN)
    real = outbox._send
    monkeypatch.setattr(outbox, "_send", lambda row, link: 0)
    outbox.sweep()
    monkeypatch.setattr(outbox, "_send", real)
    services.faucet(consumer, TOKEN)
    settings.CHAIN_MAX_FEE = 1
    with pytest.raises(FeesTooHigh, match="CHAIN_MAX_FEE is 1"):
        chain().fees()
    settle()

    first, second = (ChainTransaction.objects.get(key__regex=f"^mint:.*:{n}$") for n in (1, 2))
    assert first.state == "confirmed"
    assert (second.state, second.nonce) == ("new", None)
    first_waiting = ChainTransaction.objects.filter(state="new").first()
    assert first_waiting is not None
    assert "asks" in first_waiting.error

    settings.CHAIN_MAX_FEE = 100 * 10**9
    settle()
    second.refresh_from_db()
    assert second.state == "confirmed"
    assert chain().fees()[0] <= settings.CHAIN_MAX_FEE


@money
def test_a_fee_is_not_bumped_above_the_ceiling(
    consumer: Account, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.faucet(consumer, TOKEN)
    monkeypatch.setattr(outbox, "_send", lambda row, link: 0)
    outbox.sweep()
    row = ChainTransaction.objects.filter(state="signed").first()
    assert row is not None
    ChainTransaction.objects.filter(pk=row.pk).update(state="sent")
    row.refresh_from_db()
    before = bytes(row.raw)
    settings.CHAIN_MAX_FEE = chain().fees()[0]

    assert outbox._bump(row, chain()) == 1

    row.refresh_from_db()
    assert (row.state, bytes(row.raw), row.earlier_hashes) == ("signed", before, [])


@money
def test_a_key_that_runs_low_is_told_and_shown(consumer: Account, settings: Any, client: Client) -> None:
    assert alarms.look() == []
    faucet = Signer.objects.get(address=keys.signer("faucet").address())
    assert faucet.balance is not None
    settings.CHAIN_LOW_BALANCE = int(faucet.balance) + 1

    assert "faucet" in alarms.look()
    assert faucet in alarms.warnings()
    client.force_login(account("ada"), backend="django.contrib.auth.backends.ModelBackend")
    assert "fill it up" in client.get("/admin/settlement/signer/").content.decode()


@money
def test_while_the_chain_is_away_nobody_says_that_a_key_is_low(deployed: ChainProcess) -> None:
    deployed.stop()
    try:
        with pytest.raises(ChainUnavailable):
            alarms.look()
    finally:
        deployed.start()

    assert alarms.warnings() == []


def keystore(folder: Path, password: str) -> None:
    made = EthAccount.encrypt(PRIVATE, password, kdf="pbkdf2", iterations=100)
    (folder / "settler.json").write_text(json.dumps(made), encoding="utf-8")


def test_a_keystore_is_opened_with_the_password_of_a_file(tmp_path: Path, settings: Any) -> None:
    settings.CHAIN_KEYS_DIR, settings.DEVELOPMENT = tmp_path, False
    keystore(tmp_path, "a long password")
    with pytest.raises(ImproperlyConfigured, match="CHAIN_KEYSTORE_PASSWORD_FILE must name"):
        keys.signer("settler")
    settings.CHAIN_KEYSTORE_PASSWORD_FILE = str(tmp_path / "password")
    (tmp_path / "password").write_text("another\n")
    with pytest.raises(ImproperlyConfigured, match=r"does not open settler\.json"):
        keys.signer("settler")
    (tmp_path / "password").write_text("a long password\n")

    assert keys.signer("settler").address() == EthAccount.from_key(PRIVATE).address
    assert PRIVATE.hex() not in repr(keys.signer("settler"))
    with pytest.raises(ImproperlyConfigured, match=r"no keystore payer\.json and no payer\.key"):
        keys.signer("payer")


def other_signer(purpose: str) -> LocalSigner:
    assert purpose in keys.PURPOSES
    return LocalSigner(PRIVATE)


def test_a_signer_of_ones_own_takes_the_place_of_files(settings: Any) -> None:
    settings.CHAIN_SIGNER = "tests.apps.settlement.test_endpoints.other_signer"

    assert keys.signer("admin").address() == EthAccount.from_key(PRIVATE).address
    with pytest.raises(ValueError, match="not a purpose"):
        keys.signer("somebody")
