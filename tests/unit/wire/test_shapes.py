"""What a shape reads, the strict decoder reads too and finds the same in it; what it leaves, it leaves to the decoder."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregation.wire import cbor
from aggregation.wire.shapes import (
    INTEGERS,
    SMALL,
    Shape,
    blob,
    octets,
    octets_column,
    table,
    words_column,
)

WORDS = {cbor.encode(word): word for word in ("self", "escrow")}


def built(owners: Any, words: Any, shares: Any) -> tuple[Any, ...]:
    return tuple(zip(map(INTEGERS.get, owners), map(WORDS.get, words), shares, strict=True))


SHAPE = Shape(
    {"t": "x", "v": 1},
    key=octets(4),
    wide=octets(40),
    body=blob(70_000),
    rows=table(built, SMALL, words_column("self", "escrow"), octets_column(3)),
)


def encoded(**changes: Any) -> bytes:
    plain = {"t": "x", "v": 1, "key": b"keys", "wide": bytes(40), "body": b"", "rows": []}
    return cbor.encode({**plain, **changes})


tables = st.lists(
    st.tuples(st.integers(0, 255), st.sampled_from(["self", "escrow"]), st.binary(min_size=3, max_size=3)),
    unique_by=lambda row: row[0],
    max_size=60,
).map(sorted)


@given(st.binary(min_size=4, max_size=4), st.binary(max_size=300), tables)
def test_a_shape_reads_what_has_it(key: bytes, body: bytes, rows: list[tuple[Any, ...]]) -> None:
    data = encoded(key=key, body=body, rows=[list(row) for row in rows])
    found = SHAPE.read(data)
    assert found is not None
    values, places = found
    assert values == {"key": key, "wide": bytes(40), "body": body, "rows": tuple(rows)}
    parts = {name: cbor.encode(name) + cbor.decode_map(data)[1][name] for name in values}
    assert {name: data[place] for name, place in places.items()} == parts
    assert list(places) == ["key", "body", "rows", "wide"]


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 65_535, 65_536, 70_000])
def test_lengths_of_every_form_are_read(size: int) -> None:
    found = SHAPE.read(encoded(body=bytes(size)))
    assert found is not None
    assert len(found[0]["body"]) == size


@given(st.data())
def test_what_is_read_of_changed_bytes_is_what_they_decode_to(draw: st.DataObject) -> None:
    rows = [list(row) for row in draw.draw(tables)]
    data = bytearray(encoded(body=draw.draw(st.binary(max_size=40)), rows=rows))
    for _ in range(draw.draw(st.integers(1, 2))):
        at = draw.draw(st.integers(0, len(data) - 1))
        end = draw.draw(st.integers(at, min(at + 2, len(data))))
        data[at:end] = draw.draw(st.binary(max_size=2))
    found = SHAPE.read(bytes(data))
    if found is not None:
        values = {**found[0], "rows": [list(row) for row in found[0]["rows"]]}
        assert cbor.decode(bytes(data)) == {"t": "x", "v": 1, **values}


ROW = [1, "self", b"abc"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encoded()[:-1],
        encoded() + b"\x00",
        encoded(t="y"),
        encoded(v=2),
        encoded(key=b"key"),
        encoded(key="keys"),
        encoded(more=1),
        encoded(body=bytes(70_001)),
        encoded(body="text"),
        encoded(body=None),
        encoded(rows={}),
        encoded(rows=[[256, "self", b"abc"]]),
        encoded(rows=[[1, "other", b"abc"]]),
        encoded(rows=[[1, "self", b"ab"]]),
        encoded(rows=[[1, "self"]]),
        encoded(rows=[ROW, ROW]),
        encoded(rows=[[2, "self", b"abc"], ROW]),
        encoded(rows=[ROW]).replace(b"\x01dself", b"\x18\x01dself"),
        encoded(rows=[ROW]).replace(b"drows\x81", b"drows\x82"),
        encoded(rows=[ROW]).replace(b"drows\x81", b"drows\x98\x01"),
        encoded(rows=[ROW]).replace(b"drows\x81", b"drows\x9f"),
        encoded(body=b"b").replace(b"dbody\x41", b"dbody\x58\x01"),
        encoded(body=b"b").replace(b"dbody\x41", b"dbody\x5b" + bytes(7) + b"\x01"),
        encoded().replace(b"dbody", b"dbodz"),
        encoded().replace(b"drows", b"drowz"),
        encoded()[: encoded().index(b"dbody") + 5],
    ],
)
def test_everything_else_is_left_to_the_decoder(data: bytes) -> None:
    assert SHAPE.read(data) is None


def test_constant_entries_come_first() -> None:
    with pytest.raises(ValueError, match="come first"):
        Shape({"t": "x"}, a=octets(1))
