"""EIP-2612 permits: one signature instead of a transaction that approves and costs gas.

Source: EIP-2612 (permit), EIP-712 (typed data), EIP-5267 (how a contract tells its signing domain).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_keys.exceptions import BadSignature, ValidationError
from eth_utils import keccak

from marketplace.settlement import selectors
from marketplace.settlement.chain import NotThere, chain
from marketplace.settlement.models import ConsumerWallet
from marketplace.settlement.outbox import key_for

SECONDS = 24 * 3600
"""How long a permit is good: longer than a transaction ever waits, shorter than anybody forgets it."""
Parts = tuple[int, bytes, bytes]


@dataclass(frozen=True, kw_only=True)
class Permit:
    """`signature` is (v, r, s); `deadline` in unix seconds."""

    deadline: int
    signature: Parts


@dataclass(frozen=True, kw_only=True)
class Question:
    """What an owner signs to let a spender take exactly `value` base units, until `deadline` (unix seconds)."""

    name: str
    version: str
    chain_id: int
    token: str
    owner: str
    spender: str
    value: int
    nonce: int
    deadline: int

    @property
    def digest(self) -> bytes:
        """The 32 bytes that are signed (EIP-712)."""
        asked = self._message()
        return keccak(b"\x19" + asked.version + asked.header + asked.body)

    def _message(self) -> SignableMessage:
        return encode_typed_data(full_message=self.typed_data())

    def typed_data(self) -> dict[str, Any]:
        """The same for `eth_signTypedData_v4`: numbers above 2^53 as decimal text."""
        fields = {"owner": "address", "spender": "address", "value": "uint256", "nonce": "uint256"}
        fields |= {"deadline": "uint256"}
        domain = {"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address"}
        return {
            "types": {
                "EIP712Domain": [{"name": name, "type": kind} for name, kind in domain.items()],
                "Permit": [{"name": name, "type": kind} for name, kind in fields.items()],
            },
            "primaryType": "Permit",
            "domain": {
                "name": self.name,
                "version": self.version,
                "chainId": self.chain_id,
                "verifyingContract": self.token,
            },
            "message": {
                "owner": self.owner,
                "spender": self.spender,
                "value": str(self.value),
                "nonce": str(self.nonce),
                "deadline": str(self.deadline),
            },
        }

    def signed_by(self, signature: bytes) -> str | None:
        """Whose signature (r ‖ s ‖ v) it is; None for bytes that are none."""
        try:
            return str(Account.recover_message(self._message(), signature=signature))
        except (BadSignature, ValidationError, IndexError, ValueError):
            return None


def question(owner: str, spender: str, value: int, deadline: int) -> Question | None:
    """What is to be signed now; None where the token knows no permits.

    Raises:
        ChainUnavailable: the token cannot be asked now.
    """
    token = selectors.address("DevToken")
    try:
        fields, name, version, chain_id, contract, _salt, _more = chain().read(
            "DevToken", token, "eip712Domain"
        )
        nonce = chain().read("DevToken", token, "nonces", owner)
    except NotThere:
        return None
    if fields != b"\x0f":
        return None
    return Question(
        name=name,
        version=version,
        chain_id=chain_id,
        token=contract,
        owner=owner,
        spender=spender,
        value=value,
        nonce=nonce,
        deadline=deadline,
    )


def sign(wallet: ConsumerWallet, spender: str, value: int) -> Permit | None:
    """The wallet's permit for exactly `value` base units; None where the token knows no permits.

    Raises:
        ChainUnavailable: the token cannot be asked now.
    """
    asked = question(wallet.address, spender, value, int(time.time()) + SECONDS)
    if asked is None:
        return None
    signature = key_for(f"consumer:{wallet.pk}").sign_digest(asked.digest)
    return Permit(deadline=asked.deadline, signature=parts(signature))


def parts(signature: bytes) -> Parts:
    """(v, r, s) of r ‖ s ‖ v. Some wallets write v as 0 or 1; contracts take 27 or 28."""
    v = signature[64]
    return v if v > 26 else v + 27, signature[:32], signature[32:64]
