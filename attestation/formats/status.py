"""Whether credentials still hold: a Token Status List (draft-ietf-oauth-status-list) with one bit each, signed by the issuer.

The list names nobody and covers all credentials of an issuer, so reading it does not say whose was looked up.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection

from aggregation.wire import signing
from aggregation.wire.secret import Secret
from attestation.formats import jws
from attestation.formats.did_key import did_of, key_of
from attestation.formats.errors import AttestationError

TYP = "statuslist+jwt"
SIZE = 1 << 17
"""Bits in a list: 16 KiB before compression. An index is drawn at random, so it does not tell how many came before."""
LARGEST_TOKEN = 64 * 1024


def issue(*, private: Secret, uri: str, revoked: Collection[int], now: int, lifetime: int) -> str:
    """The signed list. `revoked` are indices below SIZE."""
    bits = bytearray(SIZE // 8)
    for index in revoked:
        bits[index // 8] |= 1 << (index % 8)
    payload = {
        "iss": did_of(signing.public_key(private)),
        "sub": uri,
        "iat": now,
        "exp": now + lifetime,
        "ttl": lifetime,
        "status_list": {"bits": 1, "lst": jws.encode(zlib.compress(bytes(bits), 9))},
    }
    return jws.sign(private, {"typ": TYP}, payload)


def check(token: str, *, issuer: str, uri: str, index: int, now: int) -> None:
    """Pass when the credential at this index still holds.

    Raises:
        AttestationError: `revoked`; `status_unknown` for a list that cannot be relied on.
    """
    try:
        if len(token) > LARGEST_TOKEN:
            raise AttestationError("malformed", "The status list is too long.")
        payload = jws.verify(token, key_of(issuer), TYP)
        bits = _bits(payload["status_list"])
        fresh = payload["iat"] - 60 <= now < payload["exp"]
        right = payload["sub"] == uri and payload["iss"] == issuer
    except (AttestationError, KeyError, TypeError):
        raise _unknown("The issuer's status list is not one that its issuer signed.") from None
    if not right or not fresh or not 0 <= index < 8 * len(bits):
        raise _unknown("The issuer's status list is out of date or another one. Try again later.")
    if bits[index // 8] >> (index % 8) & 1:
        raise AttestationError(
            "revoked", "The issuer has revoked this credential. Ask the issuer for a new one."
        )


def _bits(held: object) -> bytes:
    if not isinstance(held, dict) or held.get("bits") != 1 or not isinstance(held.get("lst"), str):
        raise AttestationError("malformed", "The status list is not one of single bits.")
    unpacker = zlib.decompressobj()
    try:
        bits = unpacker.decompress(jws.decode(held["lst"]), SIZE // 8)
    except zlib.error:
        raise AttestationError("malformed", "The status list cannot be unpacked.") from None
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise AttestationError("malformed", "The status list is longer than agreed.")
    return bits


def _unknown(sentence: str) -> AttestationError:
    return AttestationError("status_unknown", sentence)
