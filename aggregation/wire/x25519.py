"""X25519 (RFC 7748) through libsodium, which multiplies the base point in half the time of OpenSSL and needs no key objects.

libsodium trusts the lengths it is given, so they are checked here.
"""

from __future__ import annotations

from nacl import bindings
from nacl.exceptions import CryptoError

from aggregation.wire.errors import BadKey

KEY_BYTES = 32


def public_key(private: bytes) -> bytes:
    """Raises:
    BadKey: not 32 bytes.
    """
    _check(private)
    return bindings.crypto_scalarmult_base(private)


def exchange(private: bytes, public: bytes) -> bytes:
    """The shared secret, 32 bytes.

    Raises:
        BadKey: a key is not 32 bytes, or the public one is of small order, whose secret is zero with everybody.
    """
    _check(private)
    _check(public)
    try:
        return bindings.crypto_scalarmult(private, public)
    except CryptoError as error:
        raise BadKey("this is not a usable X25519 public key") from error


def _check(key: bytes) -> None:
    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        raise BadKey("an X25519 key has 32 bytes")
