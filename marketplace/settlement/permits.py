"""EIP-2612 permits: one signature instead of a transaction that approves and costs gas.

Source: EIP-2612 (permit), EIP-712 (typed data), EIP-5267 (how a contract tells its signing domain).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from eth_abi import encode
from eth_hash.auto import keccak

from marketplace.settlement import selectors
from marketplace.settlement.chain import NotThere, chain
from marketplace.settlement.models import ConsumerWallet
from marketplace.settlement.outbox import key_for

SECONDS = 24 * 3600
"""How long a permit is good: longer than a transaction ever waits, shorter than anybody forgets it."""
PERMIT_TYPE = bytes(
    keccak(b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")
)
DOMAIN_TYPE = bytes(
    keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
)
Parts = tuple[int, bytes, bytes]


@dataclass(frozen=True, kw_only=True)
class Permit:
    """`signature` is (v, r, s); `deadline` in unix seconds."""

    deadline: int
    signature: Parts


def sign(wallet: ConsumerWallet, spender: str, value: int) -> Permit | None:
    """The wallet's permit for exactly `value` base units; None where the token knows no permits.

    Raises:
        ChainUnavailable: the token cannot be asked now.
    """
    token = selectors.address("DevToken")
    try:
        fields, name, version, chain_id, contract, _salt, _more = chain().read(
            "DevToken", token, "eip712Domain"
        )
        nonce = chain().read("DevToken", token, "nonces", wallet.address)
    except NotThere:
        return None
    if fields != b"\x0f":
        return None
    deadline = int(time.time()) + SECONDS
    domain = _hash(
        ["bytes32", "bytes32", "bytes32", "uint256", "address"],
        [DOMAIN_TYPE, keccak(name.encode()), keccak(version.encode()), chain_id, contract],
    )
    message = _hash(
        ["bytes32", "address", "address", "uint256", "uint256", "uint256"],
        [PERMIT_TYPE, wallet.address, spender, value, nonce, deadline],
    )
    digest = bytes(keccak(b"\x19\x01" + domain + message))
    signature = key_for(f"consumer:{wallet.pk}").sign_digest(digest)
    return Permit(deadline=deadline, signature=parts(signature))


def parts(signature: bytes) -> Parts:
    """(v, r, s) of r ‖ s ‖ v."""
    return signature[64], signature[:32], signature[32:64]


def _hash(kinds: list[str], values: list[Any]) -> bytes:
    return bytes(keccak(encode(kinds, values)))
