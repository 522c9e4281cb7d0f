"""Deterministic CBOR: one encoding per value, and nothing else decodes."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregation.wire import cbor
from aggregation.wire.errors import CodecError

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-cbor.LARGEST, cbor.LARGEST)
    | st.binary(max_size=40)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=30), inner, max_size=4),
    max_leaves=20,
)


columns = st.sampled_from(
    [
        st.integers(0, 255),
        st.integers(-2, 300),
        st.booleans() | st.integers(0, 3),
        st.binary(min_size=4, max_size=4),
        st.binary(max_size=3),
        st.binary(min_size=256, max_size=256),
        st.text(max_size=3),
        st.lists(st.integers(0, 2), max_size=2),
    ]
)


@st.composite
def tables(draw: st.DrawFn) -> list[object]:
    """Many rows of the same columns, as messages have them; sometimes with one row that is another."""
    kinds = draw(st.lists(columns, max_size=4))
    rows = draw(st.lists(st.tuples(*kinds).map(list), min_size=cbor._TABLE - 1, max_size=20))
    return [*rows, draw(values)] if draw(st.integers(0, 3)) == 0 else rows


@given(tables())
def test_tables_are_encoded_as_everything_else_is(table: list[object]) -> None:
    data = cbor.encode({"rows": table})
    assert data == cbor2.dumps({"rows": table}, canonical=True)
    assert cbor.decode(data) == {"rows": table}


@pytest.mark.parametrize("size", [0, 1, 32, 255, 256])
@pytest.mark.parametrize("odd", [[], [bytes(31)], ["x"], [[b""]]])
def test_many_byte_strings_are_encoded_as_everything_else_is(size: int, odd: list[object]) -> None:
    value = [[bytes([i]) * size for i in range(cbor._TABLE)] + odd] * cbor._TABLE
    assert cbor.encode(value) == cbor2.dumps(value, canonical=True)


def test_a_table_may_lie_as_deep_as_any_array() -> None:
    table = [[1, b"x"] for _ in range(cbor._TABLE)]
    assert cbor.encode(table, max_depth=2) == cbor2.dumps(table)
    with pytest.raises(CodecError, match="too deeply"):
        cbor.encode(table, max_depth=1)
    wide = [[0] * 256 for _ in range(cbor._TABLE)]
    assert cbor.encode(wide) == cbor2.dumps(wide)


@given(values)
def test_a_value_comes_back_and_has_one_encoding(value: object) -> None:
    data = cbor.encode(value)
    assert cbor.decode(data) == value
    assert cbor.encode(cbor.decode(data)) == data


@given(values)
def test_the_encoding_is_the_canonical_one_of_an_independent_library(value: object) -> None:
    assert cbor.encode(value) == cbor2.dumps(value, canonical=True)


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 65_535, 65_536])
def test_every_length_is_in_its_shortest_form(size: int) -> None:
    for value in (bytes(size), "x" * size, [1] * size, {f"{i:06}": None for i in range(size)}, size, -size):
        assert cbor.encode(value) == cbor2.dumps(value, canonical=True)


@pytest.mark.parametrize(
    ("value", "hexed"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (1_000_000, "1a000f4240"),
        (-1, "20"),
        (b"\x01\x02", "420102"),
        ("ü", "62c3bc"),
        ({"b": 1, "aa": 2, "a": 3}, "a361610361620162616102"),
        ([True, False, None], "83f5f4f6"),
        (2**53 - 1, "1b001fffffffffffff"),
    ],
)
def test_encodings_of_rfc_8949(value: object, hexed: str) -> None:
    assert cbor.encode(value).hex() == hexed


REJECTED = {
    "empty": "",
    "integer not shortest": "1817",
    "length not shortest": "58020102",
    "integer beyond 2^53": "1b0020000000000000",
    "negative beyond 2^53": "3b001fffffffffffff",
    "integer of 64 bits": "1bffffffffffffffff",
    "reserved length": "1c",
    "array cut short": "8200",
    "map cut short": "a16161",
    "keys not sorted": "a2616201616101",
    "key twice": "a2616101616102",
    "key not text": "a10102",
    "key bytes": "a1416101",
    "float": "fb3ff0000000000000",
    "half float": "f93c00",
    "undefined": "f7",
    "simple value": "e0",
    "indefinite array": "9f01ff",
    "indefinite text": "7f6161ff",
    "tag date": "c074323031332d30332d32315432303a30343a30305a",
    "tag bignum": "c249010000000000000000",
    "tag unknown": "d9ffff00",
    "shared reference": "d81c81d81d00",
    "trailing byte": "0000",
    "truncated": "42ff",
    "huge length": "9b000000ffffffffff",
    "not utf-8": "61ff",
    "surrogate": "63eda080",
    "too deep": "81" * 17 + "00",
    "far too deep": "81" * 100_000 + "00",
}


@pytest.mark.parametrize("name", REJECTED)
def test_it_rejects(name: str) -> None:
    with pytest.raises(CodecError):
        cbor.decode(bytes.fromhex(REJECTED[name]))


def test_sixteen_levels_are_allowed() -> None:
    assert cbor.encode(cbor.decode(bytes.fromhex("81" * 16 + "00")))


@pytest.mark.parametrize(
    "value", [1.5, {1: 2}, 2**53, -(2**53), {1, 2}, "\ud800", {"\ud800": 1}, object(), bytearray(b"x")]
)
def test_it_does_not_encode_what_it_would_not_decode(value: object) -> None:
    with pytest.raises(CodecError):
        cbor.encode(value)


@given(st.binary(max_size=200))
def test_garbage_is_a_value_or_a_codec_error(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except CodecError:
        return
    assert cbor.encode(value) == data


@given(st.dictionaries(st.text(max_size=30), values, max_size=5))
def test_a_map_comes_apart_and_together_again(value: dict[str, object]) -> None:
    data = cbor.encode(value)

    decoded, parts = cbor.decode_map(data)

    assert decoded == value
    assert parts == {key: cbor.encode(item) for key, item in value.items()}
    assert cbor.join(parts) == data
    some = dict(list(parts.items())[::2])
    assert cbor.join(some) == cbor.encode({key: value[key] for key in some})


@pytest.mark.parametrize("hexed", [*REJECTED.values(), "01", "80", "a1616100" + "00"])
def test_what_is_not_a_map_in_the_one_form_does_not_come_apart(hexed: str) -> None:
    with pytest.raises(CodecError):
        cbor.decode_map(bytes.fromhex(hexed))
