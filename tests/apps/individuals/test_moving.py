"""A wallet that was restored on another machine takes its mailbox along; the copy it came from hears nothing more."""

from __future__ import annotations

import time

import pytest
from django.db.models import QuerySet

from marketplace.individuals import clients, services
from marketplace.individuals.models import WalletLink
from tests.apps.cast import World
from tests.apps.individuals.conftest import Wire
from tests.apps.individuals.wallet import Wallet
from wallets.distributor import selectors
from wallets.distributor.models import Mail, Mailbox
from wallets.distributor.services import routes

pytestmark = pytest.mark.django_db(databases=["default", "distributor"])


@pytest.fixture
def paired(world: World, wire: Wire, wallet: Wallet) -> Wallet:
    row = services.start_pairing(account=world.people["ivo"])
    assert wallet.pair(services.code_of(row)).status_code == 200
    return wallet


def of(wallet: Wallet) -> QuerySet[WalletLink]:
    """What the market keeps under a wallet's key."""
    return WalletLink.objects.filter(mailbox_key=wallet.key)


def leave(key: str, ref: str) -> None:
    routes.post_mail(key=key, ref=ref, kind="offer", body="{}", expires=int(time.time()) + 1000)


def test_waiting_mail_goes_along_and_the_old_key_ends(paired: Wallet) -> None:
    leave(paired.key, "offer:1")
    there = Wallet()
    assert paired.moves(there).status_code == 200
    assert [mail.key for mail in Mail.objects.all()] == [there.key]
    assert list(Mailbox.objects.values_list("key", flat=True)) == [there.key]
    assert of(there).exists()
    assert clients.mailbox_state(there.key).connected is False


def test_the_same_move_again_changes_nothing(paired: Wallet) -> None:
    there = Wallet()
    for _ in range(2):
        assert paired.moves(there).status_code == 200
    assert of(there).count() == 1
    assert not of(paired).exists()
    assert Mailbox.objects.count() == 1


def test_with_the_distributor_down_nothing_moves_and_the_letter_comes_again(
    paired: Wallet, wire: Wire
) -> None:
    there = Wallet()
    wire.down = True
    assert paired.moves(there).status_code == 503
    assert of(paired).exists()
    wire.down = False
    assert paired.moves(there).status_code == 200
    assert of(there).exists()


def test_after_a_crash_between_the_two_stores_the_repeat_completes_it(paired: Wallet) -> None:
    """The distributor moved it and the market did not come to write it down."""
    there = Wallet()
    leave(paired.key, "offer:1")
    routes.move_mailbox(key=paired.key, to=there.key)
    assert paired.moves(there).status_code == 200
    assert of(there).exists()
    assert Mail.objects.get().key == there.key


@pytest.mark.parametrize("field", ["signature", "new_signature", "created"])
def test_both_keys_must_sign_the_very_same_move(paired: Wallet, field: str) -> None:
    changed = {"signature": "00" * 64, "new_signature": "00" * 64, "created": 5}[field]
    assert paired.moves(Wallet(), **{field: changed}).status_code in {400, 403}
    assert of(paired).exists()


def test_a_stranger_and_a_removed_wallet_move_nothing(paired: Wallet, world: World) -> None:
    assert Wallet().moves(Wallet()).status_code == 404
    services.remove_wallet(account=world.people["ivo"], wallet=of(paired).get())
    assert paired.moves(Wallet()).status_code == 404


def test_a_key_that_serves_another_wallet_is_refused(paired: Wallet, world: World) -> None:
    other = Wallet()
    row = services.start_pairing(account=world.people["ivo"])
    assert other.pair(services.code_of(row)).status_code == 200
    assert paired.moves(other).status_code == 409


def test_a_wallet_that_was_away_finds_what_is_still_valid_and_nothing_else(paired: Wallet) -> None:
    """Offline while three letters came: one expired, one was answered elsewhere before the move, one still stands."""
    leave(paired.key, "offer:stands")
    leave(paired.key, "offer:expired")
    leave(paired.key, "offer:answered")
    Mail.objects.filter(ref="offer:expired").update(expires=int(time.time()) - 1)
    Mail.objects.filter(ref="offer:answered").update(state=Mail.State.REFUSED)
    there = Wallet()
    assert paired.moves(there).status_code == 200
    (waiting,) = selectors.waiting_for([there.key])
    frame = waiting.make()
    assert (frame["to"], frame["kind"]) == (bytes.fromhex(there.key), "offer")
    assert Mail.objects.get(pk=frame["id"]).ref == "offer:stands"
    assert selectors.waiting_for([paired.key]) == []
