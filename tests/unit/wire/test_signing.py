"""Ed25519 over a label and a CBOR body."""

from __future__ import annotations

import pytest
from nacl import bindings

from aggregation.wire import cbor, signing
from aggregation.wire.errors import BadKey, BadSignature
from aggregation.wire.secret import Secret

RFC_8032 = [  # section 7.1, tests 1 and 2: seed, public key
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    ),
]
P = 2**255 - 19
SMALL_ORDER = [
    (1).to_bytes(32, "little"),
    (0).to_bytes(32, "little"),
    (P - 1).to_bytes(32, "little"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
]
NOT_CANONICAL = [(P + 1).to_bytes(32, "little"), P.to_bytes(32, "little"), b"\xff" * 32]
BODY = {"a": 1, "b": b"x"}


@pytest.fixture
def key() -> Secret:
    return Secret(bytes.fromhex(RFC_8032[0][0]))


@pytest.mark.parametrize(("seed", "public"), RFC_8032)
def test_public_keys_match_rfc_8032(seed: str, public: str) -> None:
    assert signing.public_key(Secret(bytes.fromhex(seed))).hex() == public


def test_a_signature_verifies_only_with_its_key_label_and_body(key: Secret) -> None:
    signature = signing.sign(key, b"cssi/v1/x", BODY)
    public = signing.public_key(key)
    signing.verify(public, b"cssi/v1/x", BODY, signature)
    other = signing.public_key(Secret(bytes.fromhex(RFC_8032[1][0])))
    for wrong in (
        (other, b"cssi/v1/x", BODY, signature),
        (public, b"cssi/v1/y", BODY, signature),
        (public, b"cssi/v1/x", {**BODY, "a": 2}, signature),
        (public, b"cssi/v1/x", BODY, bytes([signature[0] ^ 1]) + signature[1:]),
        (public, b"cssi/v1/x", BODY, signature[:-1]),
    ):
        with pytest.raises(BadSignature):
            signing.verify(*wrong)


def test_a_body_that_is_encoded_already_is_signed_as_it_is(key: Secret) -> None:
    assert signing.sign_encoded(key, b"cssi/v1/test", cbor.encode(BODY)) == signing.sign(
        key, b"cssi/v1/test", BODY
    )


def test_a_malleated_signature_is_refused(key: Secret) -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    signature = signing.sign(key, b"l", BODY)
    s = int.from_bytes(signature[32:], "little") + order
    with pytest.raises(BadSignature):
        signing.verify(signing.public_key(key), b"l", BODY, signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("public", [*SMALL_ORDER, *NOT_CANONICAL, b"", b"\x01" * 31])
def test_unusable_keys_are_refused_before_verifying(public: bytes) -> None:
    with pytest.raises(BadKey):
        signing.check_public_key(public)
    with pytest.raises(BadKey):
        signing.verify(public, b"l", BODY, bytes(64))


def outside_the_main_subgroup(public: bytes) -> bytes:
    """The same point with one of order eight added: a canonical key that no seed has."""
    of_order_eight = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
    return bindings.crypto_core_ed25519_add(public, of_order_eight)


def test_a_key_that_was_checked_when_it_was_registered_is_not_checked_again(key: Secret) -> None:
    encoded, signature = cbor.encode(BODY), signing.sign(key, b"l", BODY)
    public = signing.public_key(key)
    signing.verify_encoded(public, b"l", encoded, signature, registered=True)
    with pytest.raises(BadSignature):
        signing.verify_encoded(public, b"m", encoded, signature, registered=True)
    mixed = outside_the_main_subgroup(public)
    with pytest.raises(BadKey):
        signing.verify_encoded(mixed, b"l", encoded, signature)
    with pytest.raises(BadSignature):
        signing.verify_encoded(mixed, b"l", encoded, signature, registered=True)


@pytest.mark.parametrize("public", [*SMALL_ORDER, *NOT_CANONICAL, b"", b"\x01" * 31])
def test_unusable_keys_verify_nothing_even_as_registered_ones(public: bytes) -> None:
    """With the neutral element as R and zero as s, an engine that multiplies without looking would find the equation to hold."""
    neutral = (1).to_bytes(32, "little") + bytes(32)
    for signature in (bytes(64), neutral):
        with pytest.raises((BadKey, BadSignature)):
            signing.verify_encoded(public, b"l", cbor.encode(BODY), signature, registered=True)


def test_a_label_cannot_reach_into_the_body(key: Secret) -> None:
    with pytest.raises(ValueError, match="zero byte"):
        signing.sign(key, b"a\x00b", BODY)


def test_a_generated_key_is_the_entropy_it_was_given() -> None:
    assert signing.generate(lambda n: b"\x07" * n).reveal() == b"\x07" * 32
