"""What an order costs before it is placed: every fee by name in tokens, and the gas of every transaction."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from collectives.terms.description import tokens
from marketplace.settlement import assets, conf, orders, selectors
from marketplace.settlement.chain import chain
from marketplace.settlement.errors import ChainUnavailable, NotThere, SettlementError
from marketplace.settlement.models import Asset, ConsumerWallet


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that is paid, base units of the token. `later`: not before the job begins."""

    name: str
    amount: int
    later: bool = False


@dataclass(frozen=True, kw_only=True)
class Evaluations:
    """Orders that a job with a plateau rule places by itself: `most` of them, each with a budget of `each` base units."""

    most: int
    each: int


@dataclass(frozen=True, kw_only=True)
class Cost:
    """`gas`: (transaction, most gas it may use); `gas_price` in wei, None while the chain does not answer."""

    lines: tuple[Line, ...]
    gas: tuple[tuple[str, int], ...]
    gas_price: int | None
    notes: tuple[str, ...] = ()
    """What is taken out of something paid above, and so costs nothing more."""

    @property
    def total(self) -> int:
        return sum(line.amount for line in self.lines)

    @property
    def first(self) -> int:
        """What must be there when the job is funded."""
        return sum(line.amount for line in self.lines if not line.later)

    @property
    def gas_total(self) -> int:
        return sum(gas for _name, gas in self.gas)

    @property
    def native(self) -> int | None:
        """The most the gas may cost, wei of the chain's own coin."""
        return None if self.gas_price is None else self.gas_total * self.gas_price


def order_cost(wallet: ConsumerWallet | None, asset: Asset) -> int:
    """What must be paid for the order itself, base units; 0 where an unused order is left.

    Raises:
        ChainUnavailable: the price cannot be read now.
    """
    return sum(line.amount for line in _order_lines(wallet, asset))


def of_job_of(
    account: Any, collective_id: uuid.UUID, budget: int, evaluations: Evaluations | None = None
) -> Cost:
    """The same for somebody who looks at a collective."""
    wallet = ConsumerWallet.objects.filter(account=account).first()
    return of_job(wallet, assets.find(Asset.Kind.COLLECTIVE, collective_id), budget, evaluations)


def of_job(
    wallet: ConsumerWallet | None, asset: Asset | None, budget: int, evaluations: Evaluations | None = None
) -> Cost:
    """Everything a job with this budget costs the consumer at most, with what judges it; a free thing is a line of 0."""
    lines = [Line(name=str(_("Budget into escrow")), amount=budget)]
    gas: list[tuple[str, int]] = []
    notes: list[str] = []
    try:
        if asset is not None:
            lines += _order_lines(wallet, asset)
            gas += _order_gas(wallet, asset)
            notes = _notes()
        price: int | None = chain().fees()[0]
    except (ChainUnavailable, NotThere, SettlementError):
        price = None
    gas.append((str(_("Open the escrow, with your permit")), orders.GAS["open"]))
    if evaluations:
        lines += _evaluation_lines(asset if price is not None else None, evaluations)
        each = sum(most for _name, most in _order_gas(None, asset)) if asset is not None else 0
        gas.append((str(_("The same for all evaluations")), evaluations.most * (each + orders.GAS["open"])))
    return Cost(lines=tuple(lines), gas=tuple(gas), gas_price=price, notes=tuple(notes))


def _evaluation_lines(asset: Asset | None, wanted: Evaluations) -> list[Line]:
    """`asset`: None where there is none, or no price of it can be read."""
    fees = sum(line.amount for line in _order_lines(None, asset)) if asset is not None else 0
    many = {"most": wanted.most, "each": tokens(wanted.each)}
    return [
        Line(
            name=_("Evaluations by other wallets: at most %(most)s, each at most %(each)s") % many,
            amount=wanted.most * wanted.each,
            later=True,
        ),
        Line(
            name=_("Orders of the collective for them, %(each)s each") % {"each": tokens(fees)},
            amount=wanted.most * fees,
            later=True,
        ),
    ]


def _order_lines(wallet: ConsumerWallet | None, asset: Asset) -> list[Line]:
    known = orders.usable(wallet, asset) if wallet else None
    if known is not None:
        return [Line(name=str(_("Order of the collective: one of yours is unused")), amount=0)]
    total, ocean, market = orders.price_of(asset) if asset.price and asset.exchange else (0, 0, 0)
    return [
        Line(name=str(_("Datatoken of the collective, 1.0")), amount=total - ocean - market),
        Line(name=str(_("Ocean community fee on buying")), amount=ocean),
        Line(name=str(_("Market fee on buying")), amount=market),
        Line(name=str(_("Provider fee of the order")), amount=int(conf.get("ORDER_FEE"))),
    ]


def _notes() -> list[str]:
    """Ocean's parts of what an order spends, as its router says them (18 decimals)."""
    link, router = chain(), selectors.address("FactoryRouter")
    of_token = int(link.read("FactoryRouter", router, "getOPCConsumeFee"))
    of_fee = int(link.read("FactoryRouter", router, "getOPCProviderFee"))
    found = [
        _("Ocean's community takes %(part)s of the datatoken you spend; the owner gets the rest.")
        % {"part": _percent(of_token)}
    ]
    if conf.get("ORDER_FEE"):
        found.append(_("Of the provider fee %(part)s go to Ocean's community.") % {"part": _percent(of_fee)})
    return found


def _percent(part: int) -> str:
    return f"{tokens(part * 100)} %"


def _order_gas(wallet: ConsumerWallet | None, asset: Asset) -> list[tuple[str, int]]:
    if wallet and orders.usable(wallet, asset) is not None:
        return []
    found = (
        [(_("Allow the exchange to take the price"), "approve"), (_("Buy the datatoken"), "buy")]
        if asset.price
        else [(_("Receive the datatoken"), "dispense")]
    )
    if conf.get("ORDER_FEE"):
        found.append((_("Allow the provider fee"), "approve"))
    found.append((_("Spend the datatoken: start the order"), "order"))
    return [(str(name), orders.GAS[gas]) for name, gas in found]
