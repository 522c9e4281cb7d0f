"""The wallet's keys. Every collective meets a different person: nothing below is shared between two subscriptions.

mailbox key       Ed25519, one per pairing; how the market's offers reach this wallet
subscription key  Ed25519, fresh per subscription; the pseudonym
agreement key     secp256k1, fresh per subscription; signs the EIP-712 agreement
payout key        secp256k1, fresh per subscription; its address is paid, and it outlives the subscription
job key           Ed25519, fresh per job; signs aggregation messages
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import coincurve
from eth_hash.auto import keccak

from aggregation.wire import signing
from aggregation.wire.secret import Secret

ENTROPY = Callable[[int], bytes]
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@dataclass(frozen=True, kw_only=True)
class SubscriptionKeys:
    """All keys of one subscription, born together and (but for the payout key) erased together."""

    subscription: Secret
    agreement: Secret
    payout: Secret
    payout_salt: bytes

    @property
    def public(self) -> bytes:
        """The pseudonym: the Ed25519 public key, 32 bytes."""
        return signing.public_key(self.subscription)

    @property
    def agreement_address(self) -> bytes:
        """Address of the agreement key, 20 bytes."""
        return address_of(self.agreement)

    @property
    def payout_address(self) -> bytes:
        """Where visits are paid to, 20 bytes."""
        return address_of(self.payout)

    def erase(self) -> None:
        """Overwrite the private keys of this copy."""
        for secret in (self.subscription, self.agreement, self.payout):
            secret.erase()

    def to_record(self) -> dict[str, str]:
        """For the encrypted store only."""
        return {
            "subscription": self.subscription.reveal().hex(),
            "agreement": self.agreement.reveal().hex(),
            "payout": self.payout.reveal().hex(),
            "payout_salt": self.payout_salt.hex(),
        }

    @classmethod
    def from_record(cls, record: dict[str, str]) -> SubscriptionKeys:
        """From the encrypted store."""
        return cls(
            subscription=Secret(bytes.fromhex(record["subscription"])),
            agreement=Secret(bytes.fromhex(record["agreement"])),
            payout=Secret(bytes.fromhex(record["payout"])),
            payout_salt=bytes.fromhex(record["payout_salt"]),
        )


def new_subscription_keys(rng: ENTROPY) -> SubscriptionKeys:
    """Fresh keys for one subscription."""
    return SubscriptionKeys(
        subscription=signing.generate(rng),
        agreement=new_curve_key(rng),
        payout=new_curve_key(rng),
        payout_salt=rng(32),
    )


def new_curve_key(rng: ENTROPY) -> Secret:
    """A uniform secp256k1 private key (rejection sampling; the first draw all but always fits)."""
    while True:
        draw = rng(32)
        if 0 < int.from_bytes(draw, "big") < CURVE_ORDER:
            return Secret(draw)


def address_of(private: Secret) -> bytes:
    """The 20-byte account address: last bytes of keccak256 over the uncompressed public key."""
    point = coincurve.PrivateKey(private.reveal()).public_key.format(compressed=False)
    return bytes(keccak(point[1:])[-20:])


def sign_digest(private: Secret, digest: bytes) -> bytes:
    """65-byte recoverable signature r ‖ s ‖ v (v = 27 or 28, low s) over a 32-byte digest."""
    signature = coincurve.PrivateKey(private.reveal()).sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([signature[64] + 27])


def eip191_digest(message: bytes) -> bytes:
    """keccak256 of the EIP-191 personal message (version 0x45)."""
    return bytes(keccak(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message))
