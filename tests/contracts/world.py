"""All contracts deployed together, with somebody in every role."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from eth_account import Account
from eth_utils import keccak

from tests.contracts.evm import ARTIFACTS, CHAIN_ID, NOW, Address, Contract, Machine, who

ADMIN, SETTLER, PAYER, PUBLISHER, FAUCET, STRANGER, LISTER = (who(n) for n in range(1, 8))
ZERO = bytes(32)
DAY = 86_400


class World:
    """The contracts on one machine. `overrides` names other artifacts for some of them."""

    def __init__(self, overrides: Mapping[str, Path] | None = None, *, development: bool = True) -> None:
        self.machine = Machine()
        paths = {
            name: ARTIFACTS / f"{name}.json"
            for name in ("DevToken", "PayoutPool", "CollectiveEscrow", "SubscriptionRegistry", "ModelSale")
        } | dict(overrides or {})

        def deploy(name: str, *arguments: object) -> Contract:
            return self.machine.deploy(ADMIN, paths[name], *arguments)

        self.token = deploy("DevToken", ADMIN, FAUCET)
        self.pool = deploy("PayoutPool", self.token.address, ADMIN, PAYER, PUBLISHER)
        self.escrow = deploy(
            "CollectiveEscrow", self.token.address, self.pool.address, ADMIN, SETTLER, development
        )
        self.registry = deploy("SubscriptionRegistry", ADMIN, PUBLISHER)
        self.sale = deploy("ModelSale", self.token.address, self.pool.address, ADMIN, LISTER)
        # Stands for a model's datatoken: like Ocean's, it lets its minter create tokens.
        self.datatoken = self.machine.deploy(ADMIN, ARTIFACTS / "DevToken.json", ADMIN, self.sale.address)

    def balance(self, holder: Address) -> int:
        """Read from storage, as everything below: a hundred times faster than a call, which matters after every step of a machine."""
        return self._slot(self.token, keccak(holder.rjust(32, b"\0") + bytes(32)))

    def job(self, number: bytes) -> tuple[int, int, int, int, bool]:
        """(rate, budget, spent, next sequence, closed)."""
        base = int.from_bytes(keccak(number + (1).to_bytes(32, "big")))
        amounts, rest = self._slot(self.escrow, base + 1), self._slot(self.escrow, base + 2)
        low = 2**128 - 1
        return amounts & low, amounts >> 128, rest & low, rest >> 128 & 2**64 - 1, bool(rest >> 192)

    def totals(self) -> tuple[int, int, int]:
        """(settled, pooled, paid)."""
        return self._slot(self.escrow, 3), self._slot(self.escrow, 4), self._slot(self.pool, 4)

    def sold(self) -> tuple[int, int]:
        """(sold in all, of it to the pool) by the sale's own count."""
        return self._slot(self.sale, 3), self._slot(self.sale, 4)

    def downloads(self, holder: Address) -> int:
        """What somebody holds of the model's datatoken."""
        return self._slot(self.datatoken, keccak(holder.rjust(32, b"\0") + bytes(32)))

    def _slot(self, contract: Contract, slot: int | bytes) -> int:
        number = slot if isinstance(slot, int) else int.from_bytes(slot)
        return int(self.machine.state.get_storage(contract.address, number))

    def give(self, holder: Address, amount: int) -> None:
        """Tokens, and leave for the escrow to take them."""
        self.token.mint(FAUCET, holder, amount)
        self.token.approve(holder, self.escrow.address, amount)

    def open(
        self,
        job: bytes,
        consumer: Address,
        rate: int,
        budget: int,
        *,
        order: bytes = ZERO,
        expiry: int = NOW + DAY,
    ) -> None:
        self.give(consumer, budget)
        self.escrow.openJob(consumer, job, order, rate, budget, expiry)

    def fund_pool(self, amount: int, job: bytes = b"\xee" * 32) -> None:
        """Bring an amount into the pool the only way there is: a job that settles it."""
        self.open(job, who(90), 1, amount)
        self.escrow.settle(SETTLER, job, 1, amount, ZERO)
        self.escrow.fundPool(STRANGER)


def key_of(number: int) -> tuple[bytes, Address]:
    """(private key, address) that sign permits and agreements in tests."""
    private = keccak(text=f"test key {number}")
    return private, bytes.fromhex(Account.from_key(private).address[2:])


def permit(
    world: World, private: bytes, spender: Address, value: int, *, deadline: int, nonce: int = 0
) -> tuple[int, bytes, bytes]:
    """(v, r, s) of an EIP-2612 permit for the token."""
    owner = Account.from_key(private).address
    signed = Account.sign_typed_data(
        private,
        {
            "name": "Development OCEAN",
            "version": "1",
            "chainId": CHAIN_ID,
            "verifyingContract": "0x" + world.token.address.hex(),
        },
        {
            "Permit": [
                {"name": "owner", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"},
            ]
        },
        {
            "owner": owner,
            "spender": "0x" + spender.hex(),
            "value": value,
            "nonce": nonce,
            "deadline": deadline,
        },
    )
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")
