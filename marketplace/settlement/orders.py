"""Orders: a datatoken is bought or given, exactly 1.0 of it is spent, and that order opens one escrow.

A consumer's wallet does one thing at a time: an allowance or a permit of one step must not be overwritten by another's. So a step is
enqueued only when none of that wallet's transactions is undecided, oldest wish first. Every step is an outbox row with a key of
its own; a kill between two steps is found by the next pass.
"""

from __future__ import annotations

import json
import time
from typing import Any

from django.conf import settings
from django.db import transaction
from eth_abi.packed import encode_packed
from eth_hash.auto import keccak

from marketplace.settlement import conf, outbox, permits, selectors
from marketplace.settlement.assets import ONE, ZERO
from marketplace.settlement.chain import chain, encode_call, job_bytes
from marketplace.settlement.errors import ChainUnavailable, NotThere, SettlementError
from marketplace.settlement.keys import signer
from marketplace.settlement.models import Asset, AssetOrder, ChainTransaction, ConsumerWallet, Escrow

GAS = {
    "approve": 90_000,
    "dispense": 200_000,
    "buy": 350_000,
    "order": 250_000,
    "reuse": 150_000,
    "open": 260_000,
    "purchase": 420_000,
}
MARGIN = 600
"""An order is renewed when less than this is left of it, seconds: it must still be good when the job opens."""
Order = AssetOrder.Status


def advance() -> int:
    """One step for every wallet that is free; how many rows were made."""
    made = 0
    opening = Escrow.objects.filter(status=Escrow.Status.OPENING).select_related(
        "consumer", "asset", "asset_order"
    )
    seen: set[int] = set()
    for escrow in opening.order_by("created_at"):
        if escrow.consumer_id in seen:
            continue
        seen.add(escrow.consumer_id)
        if busy(escrow.consumer):
            continue
        try:
            made += _step(escrow)
        except ChainUnavailable:
            return made
        except (NotThere, SettlementError) as error:  # one consumer's trouble must not hold up the others
            made += _give_up(escrow, str(getattr(error, "sentence", error))[:300])
    return made


def busy(wallet: ConsumerWallet) -> bool:
    """Whether a transaction of this wallet is on its way."""
    on_its_way = ChainTransaction.objects.filter(state__in=ChainTransaction.ON_ITS_WAY)
    return on_its_way.filter(purpose=f"consumer:{wallet.pk}").exists()


def claim(wallet: ConsumerWallet) -> bool:
    """Hold the wallet until the end of this transaction, if it is free. Every step of it is enqueued behind this."""
    ConsumerWallet.objects.select_for_update().get(pk=wallet.pk)
    return not busy(wallet)


def _step(escrow: Escrow) -> int:
    if escrow.asset is not None and escrow.asset_order is None:
        return _take_order(escrow, escrow.asset)
    order = escrow.asset_order
    if order is None:
        return _open(escrow, bytes(32))
    if order.status == Order.FAILED:
        return _give_up(escrow, "the order of the collective was refused by the chain")
    if order.status == Order.STARTING:
        return 0
    if order.valid_until < time.time() + MARGIN:
        return renew(order)
    return _open(escrow, bytes.fromhex(order.order_id[2:]))


def _take_order(escrow: Escrow, asset: Asset) -> int:
    if asset.status == Asset.Status.FAILED:
        if not settings.DEVELOPMENT:
            return _give_up(escrow, "the collective could not be published as an asset")
        # Without an asset there is nothing to order; on a development chain a job may name no order.
        return Escrow.objects.filter(pk=escrow.pk).update(asset=None)
    if asset.status != Asset.Status.PUBLISHED:
        return 0
    if not asset.orderable:
        return _give_up(escrow, f"orders of this collective are off: {asset.get_state_display()}")
    left_over = usable(escrow.consumer, asset)
    if left_over is not None:
        return Escrow.objects.filter(pk=escrow.pk, asset_order=None).update(asset_order=left_over)
    return int(start(escrow.consumer, asset, escrow) is not None)


def usable(wallet: ConsumerWallet, asset: Asset) -> AssetOrder | None:
    """An order of this wallet that opened nothing yet and is not over: it is used before another is paid."""
    mine = AssetOrder.objects.filter(wallet=wallet, asset=asset, consumed=False, escrow__isnull=True)
    return mine.filter(expires__gt=int(time.time()) + MARGIN).exclude(status=Order.FAILED).first()


def start(wallet: ConsumerWallet, asset: Asset, escrow: Escrow | None = None) -> AssetOrder | None:
    """Get one datatoken and spend it; the order is valid when the chain has confirmed its last transaction.

    None when the wallet has something else on its way, or another worker was faster with the escrow.

    Raises:
        ChainUnavailable: prices cannot be read now.
    """
    now = int(time.time())
    holds = chain().read("ERC20Template", asset.datatoken, "balanceOf", wallet.address) >= ONE
    cost = 0 if holds or not asset.price else price_of(asset)[0]
    with transaction.atomic():
        if not claim(wallet) or (
            escrow and not Escrow.objects.filter(pk=escrow.pk, asset_order=None).exists()
        ):
            return None
        order = AssetOrder.objects.create(
            asset=asset,
            wallet=wallet,
            valid_until=now + conf.get("ORDER_FEE_SECONDS"),
            expires=now + conf.get("ORDER_SECONDS"),
        )
        chained = Chained(wallet)
        if not holds and asset.price:
            exchange = selectors.address("FixedRateExchange")
            chained.add("approve", f"pay:{order.pk}", "DevToken", "approve", [exchange, cost])
            bought = [bytes.fromhex(asset.exchange[2:]), ONE, cost, ZERO, 0]
            chained.add("buy", f"buy:{order.pk}", "FixedRateExchange", "buyDT", bought)
        elif not holds:
            chained.add(
                "dispense",
                f"dispense:{order.pk}",
                "Dispenser",
                "dispense",
                [asset.datatoken, ONE, wallet.address],
            )
        _pay_fee(chained, order, 0)
        arguments = [wallet.address, 0, provider_fee(order.valid_until), (ZERO, ZERO, 0)]
        chained.add(
            "order", f"order:{order.pk}", "ERC20Template", "startOrder", arguments, to=asset.datatoken
        )
    return order


def renew(order: AssetOrder) -> int:
    """Pay the provider's fee again without another datatoken; 1 when a renewal was sent."""
    until = int(time.time()) + conf.get("ORDER_FEE_SECONDS")
    with transaction.atomic():
        if not claim(order.wallet):
            return 0
        if not AssetOrder.objects.filter(pk=order.pk, status=Order.VALID).update(status=Order.STARTING):
            return 0
        renewal = order.renewals + 1
        chained = Chained(order.wallet)
        _pay_fee(chained, order, renewal)
        arguments = [bytes.fromhex(order.order_id[2:]), provider_fee(until)]
        key = f"reuse:{order.pk}:{renewal}:{until}"
        chained.add("reuse", key, "ERC20Template", "reuseOrder", arguments, to=order.asset.datatoken)
    return 1


def price_of(asset: Asset) -> tuple[int, int, int]:
    """(all in all, of it for Ocean's community, of it for the market) for one datatoken at its fixed price, base units."""
    found = chain().read(
        "FixedRateExchange",
        selectors.address("FixedRateExchange"),
        "calcBaseInGivenOutDT",
        bytes.fromhex(asset.exchange[2:]),
        ONE,
        0,
    )
    return int(found[0]), int(found[1]), int(found[2]) + int(found[3])


def provider_fee(valid_until: int) -> tuple[Any, ...]:
    """Ocean's signed fee: what the provider asks and until when it is paid for, over EIP-191."""
    key, token, fee = signer("provider"), selectors.address("DevToken"), int(conf.get("ORDER_FEE"))
    data = json.dumps({"provider": "compute-to-ssi"}).encode()
    packed = encode_packed(
        ["bytes", "address", "address", "uint256", "uint256"], [data, key.address(), token, fee, valid_until]
    )
    signature = key.sign_digest(keccak(b"\x19Ethereum Signed Message:\n32" + keccak(packed)))
    v, r, s = permits.parts(signature)
    return (key.address(), token, fee, v, r, s, valid_until, data)


class Chained:
    """Transactions of one wallet, each waiting for the one before."""

    def __init__(self, wallet: ConsumerWallet) -> None:
        self._purpose = f"consumer:{wallet.pk}"
        self.last: ChainTransaction | None = None

    def add(self, gas: str, key: str, contract: str, call: str, arguments: list[Any], to: str = "") -> None:
        """One call; `gas` names its limit in `GAS`, `to` is where a contract is that exists more than once."""
        self.last = outbox.enqueue(
            key=key,
            purpose=self._purpose,
            to=to or selectors.address(contract),
            data=encode_call(contract, call, arguments),
            gas=GAS[gas],
            depends_on=self.last,
        )


def _pay_fee(chained: Chained, order: AssetOrder, renewal: int) -> None:
    fee = int(conf.get("ORDER_FEE"))
    if fee:
        chained.add(
            "approve", f"orderfee:{order.pk}:{renewal}", "DevToken", "approve", [order.asset.datatoken, fee]
        )


def _open(escrow: Escrow, order_id: bytes) -> int:
    """Approve and open, or both in one by a permit where the token knows permits."""
    job, spender = escrow.job_id, selectors.address("CollectiveEscrow")
    arguments: list[Any] = [job_bytes(job), order_id, int(escrow.rate), int(escrow.budget), escrow.expires]
    permit = permits.sign(escrow.consumer, spender, int(escrow.budget))
    tried = ChainTransaction.objects.filter(key__startswith=f"open:{job}").count()
    suffix = f":{tried}" if tried else ""
    with transaction.atomic():
        if not claim(escrow.consumer) or not Escrow.objects.filter(pk=escrow.pk, status="opening").exists():
            return 0
        Escrow.objects.filter(pk=escrow.pk).update(order_id="0x" + order_id.hex())
        chained = Chained(escrow.consumer)
        if permit is None:
            chained.add(
                "approve", f"approve:{job}{suffix}", "DevToken", "approve", [spender, int(escrow.budget)]
            )
            call = "openJob"
        else:
            arguments += [permit.deadline, *permit.signature]
            call = "openJobWithPermit"
        chained.add("open", f"open:{job}{suffix}", "CollectiveEscrow", call, arguments)
    return 1


def _give_up(escrow: Escrow, reason: str) -> int:
    return Escrow.objects.filter(pk=escrow.pk, status=Escrow.Status.OPENING).update(
        status=Escrow.Status.FAILED, asset_order=None, reason=reason
    )
