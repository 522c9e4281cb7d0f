"""`did:key` for Ed25519 (W3C CCG did:key method 0.7: multicodec 0xed01, base58btc)."""

from __future__ import annotations

from aggregation.wire import signing
from aggregation.wire.errors import BadKey
from attestation.formats.errors import AttestationError

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PREFIX = bytes((0xED, 0x01))
_START = "did:key:z"
_LONGEST = 60


def did_of(public: bytes) -> str:
    """The identifier of a 32-byte public key."""
    return _START + base58(_PREFIX + public)


def base58(raw: bytes) -> str:
    """Bytes in the alphabet of Bitcoin's addresses (base58btc)."""
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


def key_of(did: str) -> bytes:
    """The 32-byte public key of an identifier.

    Raises:
        AttestationError: `malformed`, for any other method, key type or spelling.
    """
    text = did.removeprefix(_START)
    if not did.startswith(_START) or len(text) > _LONGEST or set(text) - set(_ALPHABET):
        raise AttestationError("malformed", "An issuer is named by a did:key identifier of an Ed25519 key.")
    number = 0
    for letter in text:
        number = number * 58 + _ALPHABET.index(letter)
    raw = number.to_bytes(45, "big").lstrip(b"\x00")
    try:
        signing.check_public_key(raw[2:])
    except BadKey:
        raise AttestationError("malformed", "The issuer's identifier holds no usable Ed25519 key.") from None
    if raw[:2] != _PREFIX or did_of(raw[2:]) != did:
        raise AttestationError("malformed", "An issuer is named by a did:key identifier of an Ed25519 key.")
    return raw[2:]
