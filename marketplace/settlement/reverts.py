"""Why the chain refused, in words with numbers: the contracts' named errors, decoded from what a revert returns."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from eth_abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import abi_to_signature, function_signature_to_4byte_selector, get_abi_input_types

from collectives.terms.description import tokens

CONTRACTS = ("DevToken", "CollectiveEscrow", "ModelSale", "PayoutPool", "SubscriptionRegistry")
TEXT = function_signature_to_4byte_selector("Error(string)")


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(min(seconds, 2**40), tz=UTC):%d %B %Y %H:%M:%S} UTC"


WORDS: dict[str, Callable[..., str]] = {
    "ERC20InsufficientBalance": lambda sender, balance, needed: (
        f"{sender[:8]}… holds {tokens(balance)} and {tokens(needed)} are needed"
    ),
    "ERC20InsufficientAllowance": lambda spender, allowance, needed: (
        f"{tokens(allowance)} are allowed to {spender[:8]}… and {tokens(needed)} are needed"
    ),
    "ERC2612ExpiredSignature": lambda deadline: f"the permit was good until {_moment(deadline)}",
    "ExpiryInThePast": lambda expiry: f"the job would have ended at {_moment(expiry)}, which is over",
    "OrderConsumed": lambda order: f"order 0x{order.hex()[:8]}… opened a job before",
    "JobExists": lambda job: f"job {job.hex()[:8]}… is in escrow already",
    "BadAmounts": lambda rate, budget: f"{tokens(budget)} do not pay one visit at {tokens(rate)}",
    "OverBudget": lambda left, asked: f"{tokens(left)} are left and {tokens(asked)} were asked for",
    "WrongSequence": lambda expected, given: f"settlement {given} came where {expected} is next",
    "TooDear": lambda price, most: f"the price is {tokens(price)}, above {tokens(most)}",
    "NotYet": lambda since: f"possible from {_moment(since)} on",
}
"""For what people may run into. Others are named as the contract names them, with their values."""


@lru_cache(maxsize=1)
def _errors() -> dict[bytes, tuple[str, list[str]]]:
    from marketplace.settlement.chain import artifact

    return {
        function_signature_to_4byte_selector(abi_to_signature(entry)): (
            entry["name"],
            get_abi_input_types(entry),
        )
        for contract in CONTRACTS
        for entry in artifact(contract)["abi"]
        if entry["type"] == "error"
    }


def words(data: bytes) -> str:
    """A sentence's end for what a call returned when it reverted; empty where it says nothing we know."""
    try:
        if data[:4] == TEXT:
            return str(decode(["string"], data[4:])[0])
        if data[:4] not in _errors():
            return ""
        name, kinds = _errors()[data[:4]]
        values: tuple[Any, ...] = decode(kinds, data[4:])
    except DecodingError:
        return ""
    say = WORDS.get(name)
    return say(*values) if say else f"{name}({', '.join(_plain(value) for value in values)})"


def _plain(value: Any) -> str:
    return f"0x{value.hex()[:8]}…" if isinstance(value, bytes) else str(value)
