"""Reading messages whose shape is known beforehand.

Deterministic CBOR has one encoding for every value. Where a map's keys, its values' types and its byte strings' lengths are known,
so is nearly every byte that is not content: reading means comparing those bytes and cutting the content out between them, and
whatever passes is in its one form. `cbor.decode`, which knows nothing and encodes again, takes longer.

A shape refuses nothing. What it cannot read it leaves to the caller to decode, which says by name what is wrong, or finds a value
that no shape foresees (a position above 255). So a shape may be narrower than the format, never wider
(tests/unit/wire/test_shapes.py, tests/unit/secagg/test_shapes.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import lt
from typing import Any

from aggregation.wire import cbor

Read = Callable[[bytes, int], tuple[Any, int]]
"""(data, where) → (value, where it ends). Raises Unlike, or IndexError behind the end of the data."""
Field = Callable[[bytes], Read]
"""The encoding of a key → how to read that key with its value."""


class Unlike(Exception):
    """The bytes are not of this shape."""


class Shape:
    """A map of these fields, and of constant entries whose keys come before all of them."""

    def __init__(self, constant: Mapping[str, cbor.Value], **fields: Field) -> None:
        keys = sorted((cbor.encode(name), name) for name in (*constant, *fields))
        names = [name for _, name in keys]
        if set(names[: len(constant)]) != set(constant):
            raise ValueError("constant entries come first in the order of keys")
        self._opening = cbor.head(cbor.MAP, len(keys)) + b"".join(
            key + cbor.encode(constant[name]) for key, name in keys[: len(constant)]
        )
        self._fields = [(name, fields[name](key)) for key, name in keys[len(constant) :]]

    def read(self, data: bytes) -> tuple[dict[str, Any], dict[str, slice]] | None:
        """The fields' values, and where each lies with its key, in the map's order; None if the data has another shape."""
        if not data.startswith(self._opening):
            return None
        values: dict[str, Any] = {}
        places: dict[str, slice] = {}
        at = len(self._opening)
        try:
            for name, read in self._fields:
                start = at
                values[name], at = read(data, start)
                places[name] = slice(start, at)
        except (Unlike, IndexError):
            return None
        return (values, places) if at == len(data) else None


def octets(size: int) -> Field:
    """A byte string of so many bytes."""

    def of(key: bytes) -> Read:
        before = key + cbor.head(cbor.BYTES, size)
        skip = len(before)

        def read(data: bytes, at: int) -> tuple[bytes, int]:
            if not data.startswith(before, at):
                raise Unlike
            start = at + skip
            end = start + size
            return data[start:end], end

        return read

    return of


def blob(longest: int) -> Field:
    """A byte string of at most so many bytes."""

    def of(key: bytes) -> Read:
        def read(data: bytes, at: int) -> tuple[bytes, int]:
            if not data.startswith(key, at):
                raise Unlike
            size, start = _argument(data, at + len(key), cbor.BYTES)
            if size > longest:
                raise Unlike
            return data[start : start + size], start + size

        return read

    return of


def table(build: Callable[..., tuple[Any, ...]], *columns: bytes) -> Field:
    """An array of rows whose first items, integers, ascend strictly.

    Args:
        build: makes the value of the columns, each a sequence of what the pattern's group matched.
        columns: the pattern of an item in each column, with one group.
    """
    row = re.escape(cbor.head(cbor.ARRAY, len(columns))) + b"".join(columns)
    one, many = re.compile(row, re.DOTALL), re.compile(b"(?:" + row + b")*+", re.DOTALL)

    def of(key: bytes) -> Read:
        def read(data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
            if not data.startswith(key, at):
                raise Unlike
            count, start = _argument(data, at + len(key), cbor.ARRAY)
            run = many.match(data, start)
            end = run.end() if run else start
            rows = one.findall(data, start, end)
            if len(rows) != count:
                raise Unlike
            if not rows:
                return (), end
            found = tuple(zip(*rows, strict=True))
            if not all(map(lt, found[0], found[0][1:])):  # encodings order as their integers do
                raise Unlike
            return build(*found), end

        return read

    return of


SMALL = rb"([\x00-\x17]|\x18[\x18-\xff])"
"""The pattern of an integer from 0 to 255, whose value `INTEGERS` has."""
INTEGERS: Mapping[bytes, int] = {cbor.encode(value): value for value in range(256)}


def octets_column(size: int) -> bytes:
    """The pattern of a byte string of so many bytes; the group holds its content."""
    return re.escape(cbor.head(cbor.BYTES, size)) + b"(.{%d})" % size


def words_column(*words: str) -> bytes:
    """The pattern of one of these words; the group holds its encoding."""
    return b"(" + b"|".join(re.escape(cbor.encode(word)) for word in words) + b")"


def _argument(data: bytes, at: int, major: int) -> tuple[int, int]:
    """The argument of an item's head, and where the content begins."""
    first = data[at]
    short = first & 31
    if first >> 5 == major and short < 24:
        return short, at + 1
    end = at + 1 + (1 << (short & 3))
    argument = int.from_bytes(data[at + 1 : end], "big")
    if data[at:end] != cbor.head(major, argument):
        raise Unlike  # another type, cut off, or not the shortest form
    return argument, end
