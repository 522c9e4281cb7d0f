"""The machine over all contracts with the sale of models added.

It is apart so that the rules of a sale take no turns away from the faults planted in the other contracts.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.contracts.evm import Address, who
from tests.contracts.model import CONSUMERS, HOLDERS, OWNER, ContractsMachine
from tests.contracts.world import LISTER, STRANGER


class SalesMachine(ContractsMachine):
    """`offers`: price, individuals' share in millionths, whether it is on offer."""

    def __init__(self) -> None:
        super().__init__()
        self.offers: dict[bytes, tuple[int, int, bool]] = {}

    @initialize()
    def a_model_that_was_sold_and_withdrawn(self) -> None:
        """Each refusal once, so that short runs meet them all."""
        self.offer(1, 13, 800_000, LISTER)
        self.offer(1, 1, 0, STRANGER)
        self.buy(1, CONSUMERS[0], 1, False)
        self.buy(1, CONSUMERS[0], 0, True)
        self.buy(1, CONSUMERS[0], 0, False)
        self.buy(1, CONSUMERS[0], 0, False)
        self.withdraw(1, STRANGER)
        self.withdraw(1, LISTER)
        self.buy(1, CONSUMERS[1], 0, False)
        self.offer(1, 13, 800_000, LISTER)

    @rule(
        number=st.integers(1, 2),
        price=st.integers(0, 40),
        share=st.sampled_from([0, 1, 333_333, 800_000, 1_000_000, 1_000_001]),
        sender=st.sampled_from([LISTER] * 5 + [STRANGER]),
    )
    def offer(self, number: int, price: int, share: int, sender: Address) -> None:
        model = bytes([number]) * 32
        refusal = "BadOffer" if price == 0 or share > 1_000_000 else None
        refusal = refusal if sender == LISTER else "AccessControlUnauthorizedAccount"
        token = self.world.datatoken.address
        self.expect(refusal, self.world.sale.offer, sender, model, token, OWNER, price, share)
        if refusal is None:
            self.offers[model] = (price, share, True)

    @rule(number=st.integers(1, 2), sender=st.sampled_from([LISTER] * 3 + [STRANGER]))
    def withdraw(self, number: int, sender: Address) -> None:
        model = bytes([number]) * 32
        price, share, offered = self.offers.get(model, (0, 0, False))
        refusal = None if offered else "NotOffered"
        refusal = refusal if sender == LISTER else "AccessControlUnauthorizedAccount"
        self.expect(refusal, self.world.sale.withdraw, sender, model)
        if refusal is None:
            self.offers[model] = (price, share, False)

    @rule(
        number=st.integers(1, 2),
        buyer=st.sampled_from(CONSUMERS),
        less=st.sampled_from([0, 0, 0, 1]),
        short=st.booleans(),
    )
    def buy(self, number: int, buyer: Address, less: int, short: bool) -> None:
        model = bytes([number]) * 32
        price, share, offered = self.offers.get(model, (0, 0, False))
        most, allowed = max(0, price - less), price - 1 if short and price else price
        if not offered:
            refusal: str | None = "NotOffered"
        elif price > most:
            refusal = "TooDear"
        elif (model, buyer) in self.bought:
            refusal = "AlreadyBought"
        else:
            refusal = None if allowed == price else "ERC20InsufficientAllowance"
        self.world.token.mint(who(5), buyer, price)
        self.minted += price
        self.wallets[buyer] += price
        self.world.token.approve(buyer, self.world.sale.address, allowed)
        self.expect(refusal, self.world.sale.buy, buyer, model, most)
        if refusal is None:
            self._sell(model, buyer, price, share)

    def _sell(self, model: bytes, buyer: Address, price: int, share: int) -> None:
        """Individuals earn their part among themselves as the ledger would say; the collective has the rest at once."""
        part = price * share // 1_000_000
        self.bought.add((model, buyer))
        self.sold, self.sold_to_pool = self.sold + price, self.sold_to_pool + part
        self.wallets[buyer] -= price
        self.wallets[OWNER] += price - part
        for step in range(part):
            self.earned[HOLDERS[step % len(HOLDERS)]] += 1
