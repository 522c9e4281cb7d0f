"""Pairing: one-time codes, proven keys, clear refusals, a distributor that may be down."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import rfc8785
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from marketplace.individuals import services
from marketplace.individuals.models import PairingCode, WalletLink
from marketplace.individuals.server_description import describe, pairing_link
from tests.apps.cast import World
from tests.apps.individuals.conftest import Wire
from tests.apps.individuals.wallet import Wallet, post
from wallets.distributor.models import Mailbox

pytestmark = pytest.mark.django_db(databases=["default", "distributor"])


def start(world: World) -> tuple[PairingCode, str]:
    row = services.start_pairing(account=world.people["ivo"])
    return row, services.code_of(row)


def test_a_wallet_pairs_with_a_code_and_learns_its_server(world: World, wire: Wire, wallet: Wallet) -> None:
    row, code = start(world)
    answer = wallet.pair(code)
    assert answer.status_code == 200
    assert answer.json() == {"server": describe(), "account_label": "i…o@people.example"}
    row.refresh_from_db()
    assert (row.status, row.wallet.mailbox_key) == ("used", wallet.key)
    assert Mailbox.objects.filter(key=wallet.key).exists()


def test_the_link_pins_the_served_description(world: World) -> None:
    served = Client().get("/api/v1/server").json()
    _, code = start(world)
    parts = urlsplit(pairing_link(code))
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert (parts.scheme, parts.netloc) == ("cssi", "pair")
    assert query["pin"] == sha256(rfc8785.dumps(served)).hexdigest()
    assert query["code"] == code


def test_the_code_is_nowhere_in_the_database(world: World) -> None:
    row, code = start(world)
    stored = " ".join(str(value) for value in PairingCode.objects.values_list().get(pk=row.pk))
    assert code not in stored
    assert code.replace("-", "") not in stored


def test_a_code_typed_in_small_letters_without_dashes_works(world: World, wire: Wire, wallet: Wallet) -> None:
    _, code = start(world)
    assert wallet.pair(code.lower().replace("-", " ")).status_code == 200


def test_the_same_wallet_may_repeat_itself_another_may_not(world: World, wire: Wire, wallet: Wallet) -> None:
    _, code = start(world)
    assert wallet.pair(code).status_code == 200
    assert wallet.pair(code).status_code == 200
    answer = Wallet().pair(code)
    assert (answer.status_code, answer.json()["code"]) == (409, "used_code")
    assert (
        WalletLink.objects.filter(account=world.people["ivo"], status="active").count() == 2
    )  # the cast's and this one


def test_a_newer_code_replaces_the_older(world: World, wire: Wire, wallet: Wallet) -> None:
    _, old = start(world)
    _, new = start(world)
    answer = wallet.pair(old)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_code")
    assert wallet.pair(new).status_code == 200


def test_an_expired_code_is_refused(world: World, wire: Wire, wallet: Wallet) -> None:
    row, code = start(world)
    past = timezone.now() - timedelta(minutes=11)
    PairingCode.objects.filter(pk=row.pk).update(created_at=past, expires_at=past + timedelta(minutes=10))
    answer = wallet.pair(code)
    assert (answer.status_code, answer.json()["code"]) == (410, "expired_code")
    assert "Get a new one" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"signature": "00" * 64}, 403, "bad_signature"),
        ({"created": 1}, 403, "bad_signature"),
        ({"mailbox_key": "zz"}, 400, "invalid"),
        ({"code": "AAAA-BBBB-CCCC"}, 403, "bad_signature"),
        ({"signature": ""}, 400, "invalid"),
    ],
)
def test_a_tampered_request_is_refused(
    world: World, wire: Wire, wallet: Wallet, changes: dict[str, Any], status: int, code: str
) -> None:
    _, good = start(world)
    answer = post("pair", wallet.pairing(good) | changes)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Mailbox.objects.exists()


def test_a_wallet_with_a_wrong_clock_is_told_to_set_it(world: World, wire: Wire, wallet: Wallet) -> None:
    _, code = start(world)
    answer = post("pair", wallet.pairing(code, created=1_000_000))
    assert answer.json()["code"] == "clock"
    assert "Set the clock" in answer.json()["detail"]


def test_with_the_distributor_down_the_code_stays_good(world: World, wire: Wire, wallet: Wallet) -> None:
    _, code = start(world)
    wire.down = True
    answer = wallet.pair(code)
    assert (answer.status_code, answer.json()["code"]) == (503, "distributor_down")
    wire.down = False
    assert wallet.pair(code).status_code == 200


def test_a_wallet_paired_with_somebody_else_stays_theirs(world: World, wire: Wire, wallet: Wallet) -> None:
    _, code = start(world)
    wallet.pair(code)
    row = services.start_pairing(account=world.people["charlie"])
    answer = wallet.pair(services.code_of(row))
    assert (answer.status_code, answer.json()["code"]) == (409, "paired_elsewhere")
    assert WalletLink.objects.get(mailbox_key=wallet.key).account == world.people["ivo"]


def test_one_waiting_code_per_account_in_the_database(world: World) -> None:
    row, _ = start(world)
    with pytest.raises(IntegrityError), transaction.atomic():
        PairingCode.objects.create(
            account=row.account, code_hash="x", created_at=row.created_at, expires_at=row.expires_at
        )


def test_the_page_shows_the_code_once_and_then_says_paired(world: World, wire: Wire, wallet: Wallet) -> None:
    client = world.client("ivo")
    shown = client.post(reverse("pair"), follow=True)
    row = PairingCode.objects.get(account=world.people["ivo"], status="waiting")
    text = shown.content.decode()
    assert services.code_of(row) in text
    assert "<svg" in text
    assert shown.headers["Cache-Control"].startswith("max-age=0")
    wallet.pair(services.code_of(row))
    fragment = client.get(reverse("pairing", args=[row.pk]), headers={"HX-Request": "true"}).content.decode()
    assert "Your wallet is paired" in fragment
    assert "hx-get" not in fragment  # nothing to ask any more
    assert services.code_of(row) not in client.get(reverse("pairing", args=[row.pk])).content.decode()


def test_removing_a_wallet_is_kept_until_the_distributor_answers(
    world: World, wire: Wire, wallet: Wallet
) -> None:
    _, code = start(world)
    wallet.pair(code)
    row = WalletLink.objects.get(mailbox_key=wallet.key)
    wire.down = True
    answer = world.client("ivo").post(reverse("wallet-remove", args=[row.pk]), follow=True)
    assert "The order to forget this wallet is kept" in answer.content.decode()
    assert Mailbox.objects.filter(key=wallet.key).exists()
    wire.down = False
    services.sweep()
    row.refresh_from_db()
    assert row.status == "removed"
    assert not Mailbox.objects.filter(key=wallet.key).exists()


def test_the_status_fragment_says_how_the_wallet_stands(world: World, wire: Wire, wallet: Wallet) -> None:
    _, code = start(world)
    wallet.pair(code)
    url = reverse("wallet-status", args=[WalletLink.objects.get(mailbox_key=wallet.key).pk])
    client = world.client("ivo")
    assert "Not connected" in client.get(url).content.decode()
    wire.down = True
    assert "Cannot tell now" in client.get(url).content.decode()
