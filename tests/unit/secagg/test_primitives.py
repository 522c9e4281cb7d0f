"""Oracle 10: primitives match published vectors; sharing and streams match a second, slower definition."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from aggregation.secagg import masking, shamir, vectors
from aggregation.secagg.errors import RemoteProtocolError
from aggregation.wire import sealing
from aggregation.wire.errors import BadKey
from tests.unit.secagg.pair import Entropy


def test_aes_128_ctr_matches_nist_sp_800_38a_f_5_1() -> None:
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    counter = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    encryptor = Cipher(algorithms.AES128(key), modes.CTR(counter)).encryptor()
    assert encryptor.update(plain).hex() == "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"


def test_hkdf_matches_rfc_5869_a_1() -> None:
    okm = masking._hkdf(b"\x0b" * 22, 42, bytes(range(13)), bytes(range(0xF0, 0xFA)))
    assert okm.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"


@pytest.mark.parametrize(
    "length", [0, 1, 16, 100, masking.BLOCK - 4, masking.BLOCK, masking.BLOCK + 4, 3 * masking.BLOCK + 5]
)
def test_the_mask_stream_is_the_block_cipher_over_a_counter_from_zero(length: int) -> None:
    seed = Entropy("stream")(16)
    blocks = [bytes(block) for block in masking.stream(seed, length)]
    assert all(len(block) == masking.BLOCK for block in blocks[:-1])
    made = b"".join(blocks)
    assert len(made) == length
    ecb = Cipher(algorithms.AES128(seed), modes.ECB()).encryptor()
    for number in {0, masking.BLOCK // 16 - 1, masking.BLOCK // 16, length // 16}:
        expected = ecb.update(number.to_bytes(16, "big"))
        part = made[16 * number : 16 * number + 16]
        assert part == expected[: len(part)]


def multiply(a: int, b: int) -> int:
    """GF(2^8) by the school method."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def test_the_table_is_multiplication_in_gf_256() -> None:
    assert all(shamir._MUL[a, b] == multiply(a, b) for a in range(256) for b in range(256))


def test_the_example_of_fips_197() -> None:
    assert shamir._MUL[0x57, 0x83] == 0xC1


def test_shares_are_the_polynomial_at_1_2_3() -> None:
    """Secret 0x2a and coefficients 0x01, 0x02: f(x) = 0x2a + x + 2x² over GF(2^8)."""
    shares = shamir.split(b"\x2a", shares=5, threshold=3, rng=lambda n: b"\x01\x02")
    expected = [0x2A ^ x ^ multiply(2, multiply(x, x)) for x in range(1, 6)]
    assert [share[0] for share in shares] == expected


@given(st.binary(min_size=1, max_size=40), st.integers(1, 12), st.integers(0, 8), st.randoms())
def test_any_threshold_of_shares_rebuilds_the_secret(
    secret: bytes, threshold: int, more: int, random: object
) -> None:
    shares = shamir.split(secret, shares=threshold + more, threshold=threshold, rng=Entropy(secret))
    points = list(enumerate(shares, start=1))
    random.shuffle(points)  # type: ignore[attr-defined]
    assert shamir.combine(points[:threshold]) == secret
    for x, share in points[threshold:]:
        assert shamir.interpolate(points[:threshold], x) == share
    assert shamir.interpolate(points[:threshold], points[0][0]) == points[0][1]


def test_fewer_shares_say_nothing() -> None:
    """t = 3, exhaustive: two shares are consistent with every one of the 256 secrets."""
    shares = shamir.split(b"\x99", shares=4, threshold=3, rng=Entropy("few"))
    for chosen in combinations(enumerate(shares, start=1), 2):
        secrets = {shamir.interpolate([*chosen, (200, bytes([third]))], 0)[0] for third in range(256)}
        assert len(secrets) == 256


@pytest.mark.parametrize(("shares", "threshold"), [(3, 4), (3, 0), (256, 3), (0, 1)])
def test_impossible_sharings_are_refused(shares: int, threshold: int) -> None:
    with pytest.raises(ValueError, match="threshold"):
        shamir.split(b"x", shares=shares, threshold=threshold, rng=Entropy(0))


@pytest.mark.parametrize(
    "points", [[], [(1, b"a"), (1, b"b")], [(0, b"a")], [(256, b"a")], [(1, b"a"), (2, b"ab")]]
)
def test_impossible_shares_are_refused(points: list[tuple[int, bytes]]) -> None:
    with pytest.raises(ValueError, match="shares"):
        shamir.combine(points)


def test_round_keys_of_small_order_are_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        masking.check_public_key(bytes(32))
    masking.check_public_key((9).to_bytes(32, "little"))


P = 2**255 - 19


@pytest.mark.parametrize("u", [0, 1, 2, 9, P - 1, P, P + 1, P + 2, *masking.SMALL_ORDER_8])
@pytest.mark.parametrize("highest_bit", [0, 1])
def test_the_list_of_refused_round_keys_is_what_the_key_agreement_refuses(u: int, highest_bit: int) -> None:
    key = (u | highest_bit << 255).to_bytes(32, "little")
    try:
        sealing.shared_secret(sealing.generate(Entropy("any")), key)
    except BadKey:
        with pytest.raises(RemoteProtocolError):
            masking.check_public_key(key)
    else:
        masking.check_public_key(key)


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("extra", [0, 1, 5])
@pytest.mark.parametrize("blocks", [1, 2, 3, 7])
def test_masks_are_the_same_whole_in_blocks_and_on_two_threads(bits: int, extra: int, blocks: int) -> None:
    kind = np.dtype(f"<u{bits // 8}")
    length = blocks * masking.BLOCK // kind.itemsize + extra
    masks = [(bytes([i]) * 16, 1 if i % 3 else -1) for i in range(vectors.GROUP + 2)]
    expected = np.zeros(length, dtype=kind)
    for seed, sign in masks:
        whole = b"".join(bytes(block) for block in masking.stream(seed, expected.nbytes))
        expected += np.frombuffer(whole, dtype=kind) * kind.type(sign % 2**bits)

    alone, together = np.zeros_like(expected), np.zeros_like(expected)
    vectors.add_masks(alone, masks)
    with ThreadPoolExecutor(max_workers=2) as executor:
        vectors.add_masks(together, masks, executor)

    assert np.array_equal(alone, expected)
    assert np.array_equal(together, expected)
