"""What the market says about each payout address, asked so that the addresses of one person do not stand in one row of a log.

Every subscription has a payout address of its own, and nothing but the wallet knows that they belong together. Asking for all of
them in one go, over one connection, would tell it to whoever reads the server's log. So each is asked on a connection of its own,
one at a time; the answer is kept and shown with its age; a wallet that stays open asks the next one at a random moment some
hours later. The network address of the asking machine stays the same, which this cannot hide (docs/threat-model.md).
"""

from __future__ import annotations

from asyncio import sleep
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from collectives.terms.description import tokens
from wallets.agent import journal
from wallets.agent.errors import NotFound, ProtocolFault, WalletError
from wallets.agent.journal import Kind
from wallets.agent.transport import Transport

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent

ADDRESSES, TOLD = "payout", "payout-told"
SHORTEST_PAUSE, LONGEST_PAUSE = 3 * 3600, 9 * 3600
LONGEST_NOTE = 600
LARGEST_AMOUNT = 10**38


@dataclass(frozen=True, kw_only=True)
class Told:
    """The market's last word on one address: base units, unix seconds (`next_epoch` None: not known), why there is a delay."""

    pending: int
    paid: int
    next_epoch: int | None
    note: str
    asked: int

    @classmethod
    def from_answer(cls, answer: Any, asked: int) -> Told:
        """Raises ProtocolFault for anything but the document of docs/protocol/interfaces.md."""
        try:
            pending, paid = int(answer["pending"]), int(answer["paid"])
            due, note = answer.get("next_epoch"), str(answer.get("note", ""))[:LONGEST_NOTE]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ProtocolFault(
                "The market's answer about earnings is malformed.", code="bad_answer"
            ) from None
        if not (0 <= pending < LARGEST_AMOUNT and 0 <= paid < LARGEST_AMOUNT) or type(due) not in (
            int,
            type(None),
        ):
            raise ProtocolFault("The market's answer about earnings is malformed.", code="bad_answer")
        return cls(pending=pending, paid=paid, next_epoch=due, note=note, asked=asked)

    def to_record(self) -> dict[str, Any]:
        """For the encrypted store; amounts as text, because JSON's numbers are too small for them."""
        return {**asdict(self), "pending": str(self.pending), "paid": str(self.paid)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Told:
        return cls(**{**record, "pending": int(record["pending"]), "paid": int(record["paid"])})


@dataclass(frozen=True, kw_only=True)
class Line:
    """One payout address; `told` is None while the market was never asked about it."""

    subscription: str
    name: str
    address: str
    told: Told | None

    @property
    def age(self) -> int:
        """When it was asked last, 0 for never."""
        return self.told.asked if self.told else 0


async def lines(agent: WalletAgent) -> list[Line]:
    """All payout addresses, also of ended subscriptions: what was earned is still paid. Asks nobody."""
    told = await agent.store.list(TOLD)
    found = [
        Line(
            subscription=key,
            name=record["name"],
            address=record["address"],
            told=Told.from_record(told[key]) if key in told else None,
        )
        for key, record in (await agent.store.list(ADDRESSES)).items()
    ]
    return sorted(found, key=lambda line: (line.name, line.address))


async def next_to_ask(agent: WalletAgent, wanted: str = "") -> Line:
    """The address asked longest ago; `wanted` narrows it to a collective's name or an address. Raises NotFound."""
    known = [
        line
        for line in await lines(agent)
        if not wanted or wanted.lower() in (line.name.lower(), line.address.lower())
    ]
    if not known:
        raise NotFound("This wallet has no such payout address. `earnings` lists them.", code="no_address")
    return min(known, key=lambda line: line.age)


async def ask(agent: WalletAgent, line: Line) -> Told:
    """Ask the market about one address, on a connection that carries nothing else; the answer is kept, a payment since then journaled."""
    transport = Transport()
    try:
        answer = await transport.call("GET", agent.server.api_url(f"payouts/{line.address}"))
    finally:
        await transport.close()
    told = Told.from_answer(answer, agent.now())
    async with agent.store.transaction() as records:
        known = await records.get(TOLD, line.subscription)
        await records.put(TOLD, line.subscription, told.to_record(), exists=known is not None)
        new = told.paid - (int(known["paid"]) if known else 0)
        if new > 0:
            sentence = f"{tokens(new)} were paid for visits of {line.name}, as the market says."
            await journal.append(records, agent.now(), Kind.PAYOUT, amount=str(new), sentence=sentence)
    return told


async def keep_asking(agent: WalletAgent) -> None:
    """While the wallet is open: one address at a time, each after a pause of random length, the longest unasked first."""
    while True:
        share = int.from_bytes(agent.rng(4), "big") / 2**32
        await sleep(SHORTEST_PAUSE + share * (LONGEST_PAUSE - SHORTEST_PAUSE))
        with suppress(WalletError):  # no address, no server, or no answer: the next turn comes
            await ask(agent, await next_to_ask(agent))
