"""Collectives, algorithms and models as Ocean assets: created, described, priced, and what state they are in.

Two transactions make an asset: one creates data NFT, datatoken and price, the next puts its document (the DDO) on chain, which names
the NFT's address and so cannot come first. The platform's `lister` owns the NFT and may describe it; what orders pay goes to the
owner's own address. Rows say what should be, the outbox makes it so, `asset_effects` writes back what became of it.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import transaction

from collectives import wakeups
from collectives.terms.description import tokens
from marketplace.settlement import conf, ddo, outbox, selectors, subjects
from marketplace.settlement.chain import encode_call
from marketplace.settlement.errors import SettlementError
from marketplace.settlement.keys import signer
from marketplace.settlement.models import Asset, ChainTransaction, Deployment
from marketplace.settlement.wallets import consumer_wallet

ZERO = "0x" + "00" * 20
ONE = 10**18
"""What an order spends, in units of a datatoken: always exactly this."""
MOST_TOKENS = 10**30
MARKET_FEE = 0
GAS = {"asset": 2_200_000, "describe": 900_000, "state": 120_000, "price": 700_000}
PER_BYTE = 60
"""Gas for one more byte of a document: call data, memory and the event that carries it."""
TRIES = 3
S = Asset.Status


def possible() -> bool:
    """Whether Ocean's contracts are known on the pinned chain and this site publishes."""
    return (
        conf.get("PUBLISH_ASSETS")
        and Deployment.objects.filter(chain_id=settings.CHAIN_ID, name="ERC721Factory").exists()
    )


def find(kind: str, subject: Any) -> Asset | None:
    return Asset.objects.filter(chain_id=settings.CHAIN_ID, kind=kind, subject=str(subject)).first()


def publish(*, kind: str, subject: Any, price: int = 0, minter: str = "") -> Asset:
    """The asset of a thing; the same again is the same one. `minter` may make its datatokens besides the price.

    Raises:
        SettlementError: Ocean's contracts are not on this chain.
    """
    found = find(kind, subject)
    if found is not None:
        return found
    payee = consumer_wallet(subjects.owner(kind, str(subject)))
    with transaction.atomic():
        asset, made = Asset.objects.get_or_create(
            chain_id=settings.CHAIN_ID,
            kind=kind,
            subject=str(subject),
            defaults={"payee": payee, "price": price},
        )
        if made:
            _create(asset, minter)
    wake()
    return asset


def _create(asset: Asset, minter: str = "") -> None:
    lister = signer("lister").address()
    title = subjects.name(asset.kind, asset.subject)[:60]
    nft = (title, "CSSI-NFT", 1, "", True, lister)
    addresses = [minter or lister, asset.payee.address, ZERO, ZERO]
    token = (1, [title, "CSSI"], addresses, [MOST_TOKENS, 0], [])
    factory = selectors.address("ERC721Factory")
    if minter:  # its price is the minter's own affair
        call, arguments = "createNftWithErc20", [nft, token]
    elif asset.price:
        fixed = (selectors.address("FixedRateExchange"), *_fixed(int(asset.price)))
        call, arguments = "createNftWithErc20WithFixedRate", [nft, token, fixed]
    else:
        dispenser = (selectors.address("Dispenser"), ONE, ONE, True, ZERO)
        call, arguments = "createNftWithErc20WithDispenser", [nft, token, dispenser]
    outbox.enqueue(
        key=f"asset:{asset.pk}:{asset.tries}",
        purpose="lister",
        to=factory,
        data=encode_call("ERC721Factory", call, arguments),
        gas=GAS["asset"],
    )


def _fixed(price: int) -> tuple[list[str], list[int]]:
    """Ocean's parameters of a fixed price: [base token, owner, market fee to, allowed buyer], [decimals twice, price, fee, mints]."""
    lister = signer("lister").address()
    return [selectors.address("DevToken"), lister, lister, ZERO], [18, 18, price, MARKET_FEE, 1]


def advance() -> int:
    """Publish what is not, describe what was created, try again what failed; how many rows were made."""
    if not possible():
        return 0
    made = 0
    for kind, subject in subjects.unpublished():
        publish(kind=kind, subject=subject)
        made += 1
    for asset in Asset.objects.filter(chain_id=settings.CHAIN_ID, status=S.CREATED):
        made += describe(asset)
    for asset in Asset.objects.filter(chain_id=settings.CHAIN_ID, status=S.FAILED, tries__lt=TRIES, nft=""):
        with transaction.atomic():
            if Asset.objects.filter(pk=asset.pk, status=S.FAILED).update(
                status=S.CREATING, tries=asset.tries + 1
            ):
                asset.tries += 1
                _create(asset)
                made += 1
    return made


def refresh() -> int:
    """Documents and states that are no longer what their subjects say; how many were sent."""
    sent = 0
    for asset in Asset.objects.filter(chain_id=settings.CHAIN_ID, status=S.PUBLISHED):
        sent += describe(asset)
        off = subjects.suspended(asset.kind, asset.subject)
        if off and asset.state == Asset.State.ACTIVE:
            sent += _set_state(asset, Asset.State.ORDERING_DISABLED)
        elif not off and asset.state == Asset.State.ORDERING_DISABLED and asset.kind == Asset.Kind.COLLECTIVE:
            sent += _set_state(asset, Asset.State.ACTIVE)
    return sent


def describe(asset: Asset) -> int:
    """Send the document of an asset if the chain has another one (or none); 1 when it was sent."""
    document = ddo.build(
        subjects.describe(asset),
        nft=asset.nft,
        datatoken=asset.datatoken,
        chain_id=asset.chain_id,
        endpoint=settings.SITE_URL,
    )
    body, digest = ddo.encoded(document)
    if digest == asset.document_hash:
        return 0
    prefix = f"describe:{asset.pk}:"
    mine = ChainTransaction.objects.filter(key__startswith=prefix)
    if mine.exclude(state__in=("confirmed", "failed")).exists():
        return 0
    arguments = [
        asset.state,
        settings.SITE_URL,
        signer("lister").address(),
        b"\0",
        body,
        bytes.fromhex(digest),
        [],
    ]
    with transaction.atomic():
        Asset.objects.filter(pk=asset.pk).update(document=document)
        outbox.enqueue(
            key=f"{prefix}{mine.count()}:{digest}",
            purpose="lister",
            to=asset.nft,
            data=encode_call("ERC721Template", "setMetaData", arguments),
            gas=GAS["describe"] + PER_BYTE * len(body),
        )
    wake()
    return 1


def set_state(*, asset: Asset, state: int, actor: Any) -> None:
    """Retire an asset, or stop and allow orders. Nobody can order it from the moment this is asked for.

    Raises:
        SettlementError: not the actor's, or not on chain yet.
    """
    _mine(asset, actor)
    _set_state(asset, Asset.State(state))


def _set_state(asset: Asset, state: Asset.State) -> int:
    with transaction.atomic():
        moved = Asset.objects.filter(pk=asset.pk).exclude(state=state).update(state=state)
        if moved:
            count = ChainTransaction.objects.filter(key__startswith=f"state:{asset.pk}:").count()
            outbox.enqueue(
                key=f"state:{asset.pk}:{count}",
                purpose="lister",
                to=asset.nft,
                data=encode_call("ERC721Template", "setMetaDataState", [int(state)]),
                gas=GAS["state"],
            )
    wake()
    return moved


def set_price(*, asset: Asset, price: int, actor: Any) -> None:
    """What one order costs from now on, base units; 0: free. Orders that are started keep what they paid.

    Raises:
        SettlementError: not the actor's, not on chain yet, a model (its price stands with its sale), or the last change is on its way.
    """
    _mine(asset, actor)
    if asset.kind == Asset.Kind.MODEL:
        raise SettlementError("bad_price", "A model's price is changed where it is offered for sale.")
    if not 0 <= price < 10**27:
        raise SettlementError(
            "bad_price", "%(price)s is no price; use 0 to 1,000,000,000.", status=400, price=tokens(price)
        )
    rows = ChainTransaction.objects.filter(key__startswith=f"price:{asset.pk}:")
    if rows.exclude(state__in=("confirmed", "failed")).exists():
        raise SettlementError("price_on_its_way", "The last change of the price is not confirmed yet.")
    with transaction.atomic():
        row: ChainTransaction | None = None
        calls = _repricing(asset, price)
        for number, (name, to, call, arguments) in enumerate(calls, 1):
            last = ":last" if number == len(calls) else ""
            row = outbox.enqueue(
                key=f"price:{asset.pk}:{rows.count()}:{price}{last}",
                purpose="lister",
                to=to,
                data=encode_call(name, call, arguments),
                gas=GAS["price"],
                depends_on=row,
            )
    wake()


def _repricing(asset: Asset, price: int) -> list[tuple[str, str, str, list[Any]]]:
    """The calls that make it so. With the last one confirmed the price is the new one."""
    dispenser, fixed = selectors.address("Dispenser"), selectors.address("FixedRateExchange")
    exchange = bytes.fromhex(asset.exchange[2:])
    free = (
        ("Dispenser", dispenser, "activate", [asset.datatoken, ONE, ONE])
        if asset.dispenser
        else ("ERC20Template", asset.datatoken, "createDispenser", [dispenser, ONE, ONE, True, ZERO])
    )
    stop_giving = ("Dispenser", dispenser, "deactivate", [asset.datatoken])
    toggle = ("FixedRateExchange", fixed, "toggleExchangeState", [exchange])
    rate = ("FixedRateExchange", fixed, "setRate", [exchange, price])
    create = ("ERC20Template", asset.datatoken, "createFixedRate", [fixed, *_fixed(price)])
    if asset.price and price:
        return [rate]
    if asset.price:
        return [toggle, free]
    if price:
        return [stop_giving, toggle, rate] if exchange else [stop_giving, create]
    return []


def _mine(asset: Asset, actor: Any) -> None:
    if asset.payee.account_id != actor.pk and not actor.is_staff:
        raise SettlementError("not_yours", "Only whose it is can change it.", status=403)
    if not asset.nft:
        raise SettlementError("not_published", "It is not on chain yet; try again in a minute.")


def wake() -> None:
    transaction.on_commit(lambda: wakeups.send("settlement.sweep"))
