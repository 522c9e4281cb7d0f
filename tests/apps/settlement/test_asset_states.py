"""States and prices of an asset: retired, suspended, free and priced in turn."""

from __future__ import annotations

import pytest

from collectives.models import Collective
from marketplace.accounts.models import Account
from marketplace.settlement import assets, orders, selectors
from marketplace.settlement.chain import chain
from marketplace.settlement.errors import SettlementError
from marketplace.settlement.models import Asset, ChainTransaction, Escrow
from tests.apps.settlement.conftest import settle
from tests.apps.settlement.test_assets import PRICE, Published, fund, published

__all__ = ["published"]
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"])


@pytest.mark.parametrize("state", [Asset.State.END_OF_LIFE, Asset.State.ORDERING_DISABLED])
def test_a_retired_asset_takes_no_orders_and_nothing_moves(
    collective: Collective, consumer: Account, state: Asset.State, published: Published
) -> None:
    asset = published()
    with pytest.raises(SettlementError, match="Only whose it is"):
        assets.set_state(asset=asset, state=state, actor=consumer)
    assets.set_state(asset=asset, state=state, actor=collective.owner)
    settle()
    before = ChainTransaction.objects.count()

    with pytest.raises(SettlementError, match=r"takes no orders.*Nothing was moved") as raised:
        fund(consumer, collective)

    assert raised.value.code == "ordering_disabled"
    assert (Escrow.objects.count(), ChainTransaction.objects.count()) == (0, before)
    assert chain().read("ERC721Template", asset.nft, "getMetaData")[2] == state


def test_a_suspended_collective_is_not_ordered_until_it_is_back(
    collective: Collective, published: Published
) -> None:
    asset = published()
    for status, state in (("suspended", Asset.State.ORDERING_DISABLED), ("active", Asset.State.ACTIVE)):
        Collective.objects.filter(pk=collective.pk).update(status=status)
        assets.refresh()
        settle()
        asset.refresh_from_db()
        assert asset.state == state == chain().read("ERC721Template", asset.nft, "getMetaData")[2]


def test_a_price_goes_from_free_to_fixed_and_back(
    collective: Collective, consumer: Account, published: Published
) -> None:
    asset = published()
    for price in (PRICE, 2 * PRICE, 0, PRICE, 0):
        assets.set_price(asset=asset, price=price, actor=collective.owner)
        settle()
        asset.refresh_from_db()
        assert asset.price == price
        assert chain().read("Dispenser", selectors.address("Dispenser"), "status", asset.datatoken)[0] is (
            price == 0
        )
        if price:
            assert orders.price_of(asset)[0] == price + price // 1000
    assert not ChainTransaction.objects.filter(state="failed").exists()
    fund(consumer, collective)
    assert Escrow.objects.get().status == "open"
