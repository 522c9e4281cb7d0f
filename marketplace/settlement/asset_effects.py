"""What a confirmed or failed transaction means for assets and their orders; runs in the transaction that records it."""

from __future__ import annotations

from eth_utils import to_checksum_address

from marketplace.settlement.chain import Receipt, decode_logs
from marketplace.settlement.models import Asset, AssetOrder, ChainTransaction, ModelOffer, ModelPurchase

KINDS = ("asset", "describe", "price", "order", "reuse", "offer", "purchase")
ONE = 10**18
S, Order = Asset.Status, AssetOrder.Status


def confirmed(kind: str, rest: str, row: ChainTransaction, receipt: Receipt) -> None:
    number, _, more = rest.partition(":")
    if kind == "asset":
        _created(int(number), receipt)
    elif kind == "describe":
        Asset.objects.filter(pk=int(number)).update(document_hash=more.split(":")[1], status=S.PUBLISHED)
    elif kind == "price" and more.endswith(":last"):
        _priced(Asset.objects.get(pk=int(number)), int(more.split(":")[1]), receipt)
    elif kind == "order":
        _started(AssetOrder.objects.select_related("asset", "wallet").get(pk=int(number)), row, receipt)
    elif kind == "reuse":
        renewal, until = more.split(":")
        AssetOrder.objects.filter(pk=int(number)).update(
            valid_until=int(until), status=Order.VALID, renewals=int(renewal)
        )
    elif kind == "offer":
        offer = ModelOffer.objects.filter(pk=int(number), changes=int(more), status=ModelOffer.Status.LISTING)
        offer.update(status=ModelOffer.Status.OFFERED)
    elif kind == "purchase":
        _bought(number, receipt)


def failed(kind: str, rest: str, reason: str) -> None:
    if kind == "purchase":
        ModelPurchase.objects.filter(pk=rest.split(":")[0]).update(
            status=ModelPurchase.Status.FAILED, reason=reason[:300]
        )
        return
    number = int(rest.split(":")[0])
    if kind == "offer":
        ModelOffer.objects.filter(pk=number, status=ModelOffer.Status.LISTING).update(
            status=ModelOffer.Status.FAILED
        )
    elif kind == "asset":
        Asset.objects.filter(pk=number, status=S.CREATING).update(status=S.FAILED)
    elif kind in ("order", "reuse"):
        AssetOrder.objects.filter(pk=number).update(status=Order.FAILED)


def _created(number: int, receipt: Receipt) -> None:
    nft = decode_logs("ERC721Factory", receipt.logs, "NFTCreated")[0]["newTokenAddress"]
    datatoken = decode_logs("ERC721Factory", receipt.logs, "TokenCreated")[0]["newTokenAddress"]
    fixed = decode_logs("ERC721Factory", receipt.logs, "NewFixedRate")
    given = decode_logs("ERC721Factory", receipt.logs, "DispenserCreated")
    Asset.objects.filter(pk=number).update(
        nft=nft,
        datatoken=datatoken,
        exchange="0x" + fixed[0]["exchangeId"].hex() if fixed else "",
        dispenser=bool(given),
        status=S.CREATED,
    )


def _bought(number: str, receipt: Receipt) -> None:
    """As the contract counted it: the price may have fallen since the buyer agreed to a most."""
    (sold,) = decode_logs("ModelSale", receipt.logs, "Sold")
    ModelPurchase.objects.filter(pk=number).update(
        status=ModelPurchase.Status.PAID, price=sold["price"], to_individuals=sold["toIndividuals"]
    )


def _priced(asset: Asset, price: int, receipt: Receipt) -> None:
    made = decode_logs("FixedRateExchange", receipt.logs, "ExchangeCreated")
    if made:
        asset.exchange = "0x" + made[0]["exchangeId"].hex()
    asset.price, asset.dispenser = price, asset.dispenser or price == 0
    asset.save(update_fields=["price", "exchange", "dispenser"])


def _started(order: AssetOrder, row: ChainTransaction, receipt: Receipt) -> None:
    """An order counts only when the datatoken itself said so: this consumer, exactly one token, no other token's event."""
    good = any(
        to_checksum_address(event["address"]) == order.asset.datatoken
        and event["consumer"] == order.wallet.address
        and event["amount"] == ONE
        for event in decode_logs("ERC20Template", receipt.logs, "OrderStarted")
    )
    AssetOrder.objects.filter(pk=order.pk).update(
        status=Order.VALID if good else Order.FAILED, order_id=row.hash if good else ""
    )
