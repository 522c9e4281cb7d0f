"""A model is sold: the price splits to the last unit, the buyer gets exactly one datatoken, and nothing stays behind."""

from __future__ import annotations

import pytest

from tests.contracts.evm import NOW, Reverted, who
from tests.contracts.world import DAY, FAUCET, LISTER, STRANGER, World, key_of, permit

MODEL = b"\x5a" * 16 + bytes(16)
OWNER, BUYER = who(70), who(50)
PRICE, SHARE = 1_000_003, 800_000


@pytest.fixture
def world() -> World:
    made = World()
    made.sale.offer(LISTER, MODEL, made.datatoken.address, OWNER, PRICE, SHARE)
    made.token.mint(FAUCET, BUYER, 10 * PRICE)
    made.token.approve(BUYER, made.sale.address, 10 * PRICE)
    return made


def test_a_price_splits_to_the_last_unit(world: World) -> None:
    done = world.sale.buy(BUYER, MODEL, PRICE)

    individuals = PRICE * SHARE // 1_000_000
    assert world.balance(world.pool.address) == individuals == 800_002
    assert world.balance(OWNER) == PRICE - individuals
    assert world.balance(BUYER) == 9 * PRICE
    assert world.balance(world.sale.address) == 0
    assert world.downloads(BUYER) == 10**18
    (sold,) = [event for event in done.events if event.name == "Sold"]
    assert sold.values["toIndividuals"] + sold.values["toCollective"] == sold.values["price"] == PRICE


def test_a_buyer_pays_once_and_never_more_than_agreed(world: World) -> None:
    with pytest.raises(Reverted, match="TooDear"):
        world.sale.buy(BUYER, MODEL, PRICE - 1)
    world.sale.buy(BUYER, MODEL, PRICE)
    with pytest.raises(Reverted, match="AlreadyBought"):
        world.sale.buy(BUYER, MODEL, PRICE)

    assert world.balance(BUYER) == 9 * PRICE


def test_without_funds_nothing_moves(world: World) -> None:
    poor = who(51)
    world.token.approve(poor, world.sale.address, PRICE)
    with pytest.raises(Reverted, match="ERC20InsufficientBalance"):
        world.sale.buy(poor, MODEL, PRICE)

    assert world.sold() == (0, 0)
    assert world.downloads(poor) == 0


def test_what_was_withdrawn_is_not_sold_and_stays_with_who_bought_it(world: World) -> None:
    world.sale.buy(BUYER, MODEL, PRICE)
    world.sale.withdraw(LISTER, MODEL)
    with pytest.raises(Reverted, match="NotOffered"):
        world.sale.buy(who(51), MODEL, PRICE)
    with pytest.raises(Reverted, match="NotOffered"):
        world.sale.withdraw(LISTER, MODEL)

    assert world.downloads(BUYER) == 10**18


@pytest.mark.parametrize(("price", "share"), [(0, SHARE), (PRICE, 1_000_001)])
def test_an_offer_that_cannot_be_is_refused(world: World, price: int, share: int) -> None:
    with pytest.raises(Reverted, match="BadOffer"):
        world.sale.offer(LISTER, MODEL, world.datatoken.address, OWNER, price, share)


def test_only_a_lister_offers_and_withdraws(world: World) -> None:
    for call, arguments in (
        (world.sale.offer, (MODEL, world.datatoken.address, STRANGER, 1, 0)),
        (world.sale.withdraw, (MODEL,)),
    ):
        with pytest.raises(Reverted, match="AccessControlUnauthorizedAccount"):
            call(STRANGER, *arguments)


def test_a_permit_buys_in_one_transaction_and_a_used_one_stops_nobody(world: World) -> None:
    private, buyer = key_of(1)
    world.token.mint(FAUCET, buyer, PRICE)
    signature = permit(world, private, world.sale.address, PRICE, deadline=NOW + DAY)
    world.token.permit(STRANGER, buyer, world.sale.address, PRICE, NOW + DAY, *signature)

    world.sale.buyWithPermit(buyer, MODEL, PRICE, NOW + DAY, *signature)

    assert world.downloads(buyer) == 10**18
    assert world.balance(buyer) == 0


def test_an_expired_permit_moves_nothing(world: World) -> None:
    private, buyer = key_of(2)
    world.token.mint(FAUCET, buyer, PRICE)
    signature = permit(world, private, world.sale.address, PRICE, deadline=NOW - 1)
    with pytest.raises(Reverted, match="ERC20InsufficientAllowance"):
        world.sale.buyWithPermit(buyer, MODEL, PRICE, NOW - 1, *signature)

    assert world.balance(buyer) == PRICE
