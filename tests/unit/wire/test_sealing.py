"""Sealing to an X25519 key."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregation.wire import sealing
from aggregation.wire.errors import BadKey, SealError
from aggregation.wire.secret import Secret

LABEL = b"cssi/v1/test"
P = 2**255 - 19
LOW_ORDER = [
    bytes(32),
    (1).to_bytes(32, "little"),
    (P - 1).to_bytes(32, "little"),
    P.to_bytes(32, "little"),
    (P + 1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]


def test_x25519_matches_rfc_7748_section_6_1() -> None:
    alice = Secret(bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
    bob = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    assert (
        sealing.public_key(alice).hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    )
    assert (
        sealing.shared_secret(alice, bob).hex()
        == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    )


@settings(max_examples=20)
@given(st.binary(max_size=2000))
def test_only_the_recipient_opens_it_and_only_under_its_label(plaintext: bytes) -> None:
    private, other = sealing.generate(os.urandom), sealing.generate(os.urandom)
    sealed = sealing.seal(sealing.public_key(private), LABEL, plaintext, os.urandom)
    assert len(sealed) == len(plaintext) + sealing.OVERHEAD
    assert sealing.unseal(private, LABEL, sealed) == plaintext
    for attempt in (
        lambda: sealing.unseal(other, LABEL, sealed),
        lambda: sealing.unseal(private, b"cssi/v1/other", sealed),
        lambda: sealing.unseal(private, LABEL, sealed[:-1]),
        lambda: sealing.unseal(private, LABEL, bytes([sealed[0] ^ 1]) + sealed[1:]),
        lambda: sealing.unseal(private, LABEL, sealed[:40]),
    ):
        with pytest.raises(SealError):
            attempt()


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=300), min_size=2, max_size=9), st.integers(0), st.integers(0))
def test_what_is_said_in_one_order_opens_in_that_order_alone(said: list[bytes], place: int, bit: int) -> None:
    recipient = sealing.Recipient(sealing.generate(os.urandom))
    sealer = sealing.Sealer(recipient.public, LABEL, os.urandom)
    first, *rest = [sealer.seal(plain) for plain in said]
    plain, unsealer = recipient.unsealer(LABEL, first)
    assert [plain, *map(unsealer.unseal, rest)] == said
    assert all(
        len(sealed) == len(plain) + sealing.TAG_BYTES for sealed, plain in zip(rest, said[1:], strict=True)
    )

    missed = place % len(rest)  # heard up to here
    for wrong in (
        rest[missed + 1] if missed + 1 < len(rest) else first,  # one is left out
        rest[missed - 1] if missed else first,  # one is repeated
        _changed(rest[missed], bit),
        rest[missed][:-1],
        b"",
    ):
        _, unsealer = recipient.unsealer(LABEL, first)
        for sealed in rest[:missed]:
            unsealer.unseal(sealed)
        with pytest.raises(SealError):
            unsealer.unseal(wrong)


def _changed(sealed: bytes, bit: int) -> bytes:
    found = bytearray(sealed)
    found[bit // 8 % len(found)] ^= 1 << bit % 8
    return bytes(found)


def test_two_who_say_the_same_do_not_open_for_each_other() -> None:
    recipient = sealing.Recipient(sealing.generate(os.urandom))
    one, other = (sealing.Sealer(recipient.public, LABEL, os.urandom) for _ in range(2))
    _, unsealer = recipient.unsealer(LABEL, one.seal(b"a"))
    other.seal(b"a")
    with pytest.raises(SealError):
        unsealer.unseal(other.seal(b"b"))


@pytest.mark.parametrize("public", LOW_ORDER)
def test_keys_with_an_all_zero_secret_are_refused(public: bytes) -> None:
    private = sealing.generate(os.urandom)
    with pytest.raises(BadKey):
        sealing.seal(public, LABEL, b"x", os.urandom)
    with pytest.raises(SealError):
        sealing.unseal(private, LABEL, public + bytes(30))


def test_a_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(BadKey):
        sealing.seal(b"short", LABEL, b"x", os.urandom)


@settings(max_examples=30)
@given(st.binary(max_size=3000), st.lists(st.integers(1, 400), min_size=1, max_size=8), st.integers(0))
def test_piece_by_piece_the_same_comes_out_and_every_change_shows(
    plaintext: bytes, sizes: list[int], place: int
) -> None:
    recipient = sealing.Recipient(sealing.generate(os.urandom))
    sealed = sealing.seal(recipient.public, LABEL, plaintext, os.urandom)
    assert in_pieces(recipient, LABEL, sealed, sizes) == plaintext
    changed = bytearray(sealed)
    changed[32 + place % (len(sealed) - 32)] ^= 1
    for body, label in ((bytes(changed), LABEL), (sealed, b"cssi/v1/other")):
        with pytest.raises(SealError):
            in_pieces(recipient, label, body, sizes)
    with pytest.raises(SealError):
        in_pieces(recipient, LABEL, bytes(32) + sealed[32:], sizes)


def in_pieces(recipient: sealing.Recipient, label: bytes, sealed: bytes, sizes: list[int]) -> bytes:
    opening, body = recipient.opening(label, sealed[:32]), bytearray(sealed[32:-16])
    view, start = memoryview(body), 0
    for size in [*sizes, len(body)]:
        opening.next(view[start : start + size])
        start += size
    opening.finish(sealed[-16:])
    return bytes(body)
