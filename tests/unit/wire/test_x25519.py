from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from aggregation.wire import signing, x25519
from aggregation.wire.errors import BadKey


def test_it_is_the_function_of_another_library() -> None:
    for _ in range(20):
        private, peer = os.urandom(32), X25519PrivateKey.generate().public_key()
        theirs = X25519PrivateKey.from_private_bytes(private)
        assert x25519.public_key(private) == theirs.public_key().public_bytes_raw()
        assert x25519.exchange(private, peer.public_bytes_raw()) == theirs.exchange(peer)
        assert X25519PublicKey.from_public_bytes(x25519.public_key(private)) == theirs.public_key()


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), bytearray(32), "x" * 32])
def test_a_key_of_another_length_is_refused_before_the_library_sees_it(key: bytes) -> None:
    for call in (
        lambda: x25519.public_key(key),
        lambda: x25519.exchange(key, bytes([9]) + bytes(31)),
        lambda: x25519.exchange(os.urandom(32), key),
    ):
        with pytest.raises(BadKey, match="32 bytes"):
            call()


@pytest.mark.parametrize("small", [bytes(32), bytes([1]) + bytes(31)])
def test_a_key_whose_secret_is_zero_is_refused(small: bytes) -> None:
    with pytest.raises(BadKey, match="not a usable"):
        x25519.exchange(os.urandom(32), small)


def test_an_expanded_key_signs_as_its_seed_does() -> None:
    seed = signing.generate(os.urandom)
    both = signing.expanded(seed)
    assert signing.sign(both, b"label", {"a": 1}) == signing.sign(seed, b"label", {"a": 1})
    assert both.reveal() == seed.reveal() + signing.public_key(seed)
    assert signing.public_key(both) == signing.public_key(seed)
    again = signing.expanded(both)
    assert again == both
    both.erase()
    assert not again.erased
