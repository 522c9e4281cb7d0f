"""The subscription agreement an individual signs: EIP-712 typed data, induced from the terms.

Only hashes go on chain: of the terms, the requirement, and the payout address with a salt (opened to the aggregator alone).
`agreement_hash` is the EIP-712 struct hash, computed here without any chain library so that the wallet and the servers
agree by construction; contracts/SubscriptionRegistry.sol uses the same type string.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eth_hash.auto import keccak

from collectives.terms import fields as f

DOMAIN_NAME, DOMAIN_VERSION = "Compute-to-SSI", "1"
TYPE = (
    "SubscriptionAgreement(bytes32 collectiveId,bytes32 termsHash,bytes32 requirementHash,uint256 rate,bytes32 payoutHash,"
    "uint64 validFrom,uint64 validUntil,uint256 nonce)"
)
FIELDS = (
    "collectiveId",
    "termsHash",
    "requirementHash",
    "rate",
    "payoutHash",
    "validFrom",
    "validUntil",
    "nonce",
)
_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"


def build(
    *,
    collective_id: str,
    terms_hash: str,
    requirement_hash: str,
    rate: int,
    payout_hash: bytes,
    valid_from: int,
    valid_until: int,
    nonce: int,
) -> dict[str, Any]:
    """The agreement's message as a JSON-safe mapping: hashes in hex, numbers that may exceed 2^53 as decimal strings."""
    return {
        "collectiveId": collective_bytes(collective_id).hex(),
        "termsHash": terms_hash,
        "requirementHash": requirement_hash,
        "rate": str(rate),
        "payoutHash": payout_hash.hex(),
        "validFrom": valid_from,
        "validUntil": valid_until,
        "nonce": str(nonce),
    }


def collective_bytes(collective_id: str) -> bytes:
    """The collective's UUID as the chain's bytes32: 16 bytes, then zeros."""
    return bytes.fromhex(collective_id.replace("-", "")) + b"\x00" * 16


def check(message: Any) -> Mapping[str, Any]:
    """Raises:
    TermsError: a field is missing, unknown or has the wrong form.
    """
    m = f.exactly(message, FIELDS, "The agreement")
    for name in ("collectiveId", "termsHash", "requirementHash", "payoutHash"):
        f.hex_bytes(m, name, 32)
    f.money(m, "rate")
    f.uint256(m, "nonce")
    f.integer(m, "validFrom")
    f.integer(m, "validUntil")
    return m


def payout_hash(address: bytes, salt: bytes) -> bytes:
    """keccak256(address ‖ salt), 32 bytes."""
    return bytes(keccak(address + salt))


def struct_hash(message: Mapping[str, Any]) -> bytes:
    """EIP-712 hashStruct of the agreement, 32 bytes: the leaf in the registry."""
    m = check(message)
    words = [keccak(TYPE.encode())]
    for name in FIELDS:
        value = m[name]
        is_number = name in ("rate", "validFrom", "validUntil", "nonce")
        words.append(int(value).to_bytes(32, "big") if is_number else bytes.fromhex(value))
    return bytes(keccak(b"".join(words)))


def domain_separator(*, chain_id: int, registry: str) -> bytes:
    words = [
        keccak(_DOMAIN_TYPE.encode()),
        keccak(DOMAIN_NAME.encode()),
        keccak(DOMAIN_VERSION.encode()),
        chain_id.to_bytes(32, "big"),
        bytes(12) + bytes.fromhex(registry.removeprefix("0x")),
    ]
    return bytes(keccak(b"".join(words)))


def signing_digest(message: Mapping[str, Any], *, chain_id: int, registry: str) -> bytes:
    """The 32 bytes the secp256k1 agreement key signs: keccak256(0x19 0x01 ‖ domain ‖ struct)."""
    return bytes(
        keccak(b"\x19\x01" + domain_separator(chain_id=chain_id, registry=registry) + struct_hash(message))
    )


def agreement_hash(message: Mapping[str, Any]) -> str:
    """The struct hash in hex."""
    return struct_hash(message).hex()
