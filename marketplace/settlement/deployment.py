"""Which contracts must be on the pinned chain, in which order, and who puts them there.

On a development chain everything is deployed by us: our contracts, a token, and Ocean's own set. On a public chain the token and
Ocean's contracts are the ones that are there already (their addresses come with the `ocean-contracts` package, by chain id), and
only ours are deployed. Whatever does not wait for another's address is sent in one wave.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.db import transaction

from marketplace.settlement import conf, outbox
from marketplace.settlement.chain import chain, encode_call, encode_deployment, ocean_addresses
from marketplace.settlement.errors import SettlementError
from marketplace.settlement.keys import PURPOSES, signer
from marketplace.settlement.models import ChainTransaction, Deployment

Where = Mapping[str, str]
GAS, WIRE_GAS, FUEL_GAS = 8_000_000, 200_000, 60_000
SECONDS = 60
FUEL = 10**18
BOOK = {
    "DevToken": "Ocean",
    "FactoryRouter": "Router",
    "FixedRateExchange": "FixedPrice",
    "Dispenser": "Dispenser",
    "ERC721Factory": "ERC721Factory",
}
"""Our name of a contract that exists on public chains, and the name of Ocean's address book. There `DevToken` is the real token:
what we call of it is what every ERC-20 token has."""


def ours() -> dict[str, Callable[[Where], list[Any]]]:
    """Our contracts with their constructor arguments; a lambda that misses an address comes in a later wave."""
    admin, settler, payer, publisher, lister = (
        signer(p).address() for p in ("admin", "settler", "payer", "publisher", "lister")
    )
    development = settings.DEVELOPMENT
    return {
        "PayoutPool": lambda at: [at["DevToken"], admin, payer, publisher],
        "CollectiveEscrow": lambda at: [at["DevToken"], at["PayoutPool"], admin, settler, development],
        "SubscriptionRegistry": lambda at: [admin, publisher],
        "ModelSale": lambda at: [at["DevToken"], at["PayoutPool"], admin, lister],
    }


def development_set() -> dict[str, Callable[[Where], list[Any]]]:
    """A token and Ocean's contracts, as Ocean's own deployment orders them; without pools, which nothing here uses."""
    admin, faucet = signer("admin").address(), signer("faucet").address()
    return {
        "DevToken": lambda at: [admin, faucet],
        "ERC721Template": lambda at: [],
        "ERC20Template": lambda at: [],
        "OPFCommunityFeeCollector": lambda at: [admin, admin],
        "FactoryRouter": lambda at: [
            admin,
            at["DevToken"],
            at["ERC20Template"],  # a pool template must be a contract; it is never asked for one
            at["OPFCommunityFeeCollector"],
            [],
        ],
        "FixedRateExchange": lambda at: [at["FactoryRouter"]],
        "Dispenser": lambda at: [at["FactoryRouter"]],
        "ERC721Factory": lambda at: [at["ERC721Template"], at["ERC20Template"], at["FactoryRouter"]],
    }


WIRING = (
    ("addFactory", "ERC721Factory"),
    ("addFixedRateContract", "FixedRateExchange"),
    ("addDispenserContract", "Dispenser"),
    ("addApprovedToken", "DevToken"),
)
"""What the router of a set deployed by us must be told."""


def deploy() -> None:
    """Put what is missing on the chain, once; going on where it stopped.

    Raises:
        SettlementError: not confirmed in time (run it again), refused, or no Ocean contracts on this chain.
    """
    wanted = ours()
    if settings.DEVELOPMENT:
        wanted = development_set() | wanted
        _fuel()
    else:
        _take_from_book()
    limit = time.monotonic() + SECONDS
    while missing := [name for name in wanted if name not in places()]:
        at = places()
        rows = []
        for name in missing:
            try:
                arguments = wanted[name](at)
            except KeyError:
                continue
            rows.append(
                _enqueue(f"deploy:{name}:{settings.CHAIN_ID}", "", encode_deployment(name, arguments), GAS)
            )
        _finish(rows, limit)
    if settings.DEVELOPMENT:
        _wire(limit)


def places() -> dict[str, str]:
    """Addresses by name on the pinned chain."""
    return dict(Deployment.objects.filter(chain_id=settings.CHAIN_ID).values_list("name", "address"))


def _wire(limit: float) -> None:
    at = places()
    rows = [
        _enqueue(
            f"wire:{call}:{settings.CHAIN_ID}",
            at["FactoryRouter"],
            encode_call("FactoryRouter", call, [at[name]]),
            WIRE_GAS,
        )
        for call, name in WIRING
    ]
    _finish(rows, limit)


def _take_from_book() -> None:
    book = ocean_addresses(settings.CHAIN_ID)
    if book is None:
        raise SettlementError(
            "no_ocean",
            "Ocean's contracts are not on chain %(chain)s as far as the ocean-contracts package knows. "
            "Choose a chain of its address book, or run a development site.",
            chain=str(settings.CHAIN_ID),
        )
    block = chain().head()
    for name, theirs in BOOK.items():
        # The token may be another one than Ocean's on that chain.
        address = (conf.get("TOKEN_ADDRESS") if name == "DevToken" else "") or book[theirs]
        Deployment.objects.get_or_create(
            chain_id=settings.CHAIN_ID, name=name, defaults={"address": address, "block": block}
        )


def _fuel() -> None:
    """Native coin for keys that came after the development chain's beginning."""
    link = chain()
    faucet = signer("faucet").address()
    for purpose in PURPOSES:
        address = signer(purpose).address()
        if address != faucet and link.native_balance(address) < FUEL:
            with transaction.atomic():
                outbox.enqueue(
                    key=f"fuel:{address}",
                    purpose="faucet",
                    to=address,
                    data=b"",
                    gas=FUEL_GAS,
                    value=1000 * FUEL,
                )


def _enqueue(key: str, to: str, data: bytes, gas: int) -> ChainTransaction:
    with transaction.atomic():
        return outbox.enqueue(key=key, purpose="admin", to=to, data=data, gas=gas)


def _finish(rows: list[ChainTransaction], limit: float) -> None:
    """Sweep until every row is confirmed."""
    keys = [row.key for row in rows]
    while True:
        states = dict(ChainTransaction.objects.filter(key__in=keys).values_list("key", "state"))
        for key, state in states.items():
            if state == ChainTransaction.State.FAILED:
                row = ChainTransaction.objects.get(key=key)
                raise SettlementError("not_deployed", "%(key)s failed: %(error)s", key=key, error=row.error)
        if all(state == ChainTransaction.State.CONFIRMED for state in states.values()):
            return
        if time.monotonic() > limit:
            raise SettlementError(
                "not_deployed",
                "The contracts were not confirmed within %(seconds)s s; run the command again, it goes on "
                "where it is.",
                seconds=SECONDS,
            )
        if not outbox.sweep():
            time.sleep(0.2)
