"""Deterministic CBOR: the subset of RFC 8949 section 4.2.1 that every signed byte string here uses.

Allowed: integers within ±(2^53 − 1), byte strings, text, arrays, maps with text keys, true, false, null. Map keys are
sorted by their encoded bytes, every length is in its shortest form. Nothing else: no floats, tags, indefinite lengths.

`cbor2` decodes leniently, so decoding ends with encoding again and comparing: whatever is not in the one allowed form differs.
Tags are refused before `cbor2` builds anything of them: some of its types (decimals, regular expressions, shared references)
cost more to build than the few bytes that ask for them.

The encoder is our own because it runs several times over every message of a round: choosing an item's encoding by its type is the
check of that type, so one walk does both. On a message of 49 shares it takes a quarter of the time of a check followed by
`cbor2.dumps(canonical=True)`, with which it agrees byte for byte (tests/unit/wire/test_cbor.py).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, NoReturn

import cbor2

from aggregation.wire.errors import CodecError

LARGEST = 2**53 - 1
MAX_DEPTH = 16
_TAGS_CBOR2_BUILDS = (
    *range(6),
    25,
    *range(28, 31),
    *range(35, 38),
    100,
    256,
    258,
    260,
    261,
    1004,
    43000,
    55799,
)

Value = Any
"""int | bytes | str | bool | None | list[Value] | dict[str, Value]"""


def encode(value: Value, *, max_depth: int = MAX_DEPTH) -> bytes:
    """The one encoding of a value.

    Raises:
        CodecError: the value has a type, size or depth outside the subset.
    """
    return _encoded(value, max_depth)


def decode(data: bytes, *, max_depth: int = MAX_DEPTH) -> Value:
    """The value of an encoding that is exactly in the allowed form.

    Raises:
        CodecError: anything else, with no part of the input in the message.
    """
    value = _read(data, max_depth)
    out: list[bytes] = []
    _append((value,), out, max_depth)
    _compare(data, out)
    return value


def decode_map(data: bytes, *, max_depth: int = MAX_DEPTH) -> tuple[dict[str, Value], dict[str, bytes]]:
    """As `decode`, for a map: its values, and the encoding of each, in the map's order.

    `join` makes the encoding of a map of some of these entries without encoding them again.

    Raises:
        CodecError: as `decode`, or the value is no map.
    """
    value = _read(data, max_depth)
    if type(value) is not dict:
        raise CodecError("a map is expected")
    parts = {}
    for key, item in value.items():
        if type(key) is not str:
            raise CodecError("map keys must be text")
        parts[key] = _encoded(item, max_depth - 1)
    if join(parts) != data:
        raise CodecError(_NOT_DETERMINISTIC)
    return value, parts


def join(parts: Mapping[str, bytes]) -> bytes:
    """The encoding of a map, from the encodings of its values."""
    entries = sorted(zip(map(_text, parts), parts.values(), strict=True))
    return b"".join((head(MAP, len(entries)), *chain.from_iterable(entries)))


def join_array(parts: Sequence[bytes]) -> bytes:
    """The encoding of an array, from the encodings of its items."""
    return b"".join((head(ARRAY, len(parts)), *parts))


def _read(data: bytes, max_depth: int) -> Value:
    decoder = cbor2.CBORDecoder(
        io.BytesIO(data),
        max_depth=max_depth + 1,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
        semantic_decoders=_NO_TAGS,
    )
    try:
        return decoder.decode()
    except Exception as error:  # cbor2 lets several built-in errors through on hostile input
        raise CodecError("this is not CBOR of the allowed kinds") from error


def _compare(data: bytes, pieces: list[bytes]) -> None:
    """A long vector is compared where it lies, piece by piece; for others joining is faster."""
    if len(data) < _LONG:
        if b"".join(pieces) != data:
            raise CodecError(_NOT_DETERMINISTIC)
        return
    position = 0
    for piece in pieces:
        if not data.startswith(piece, position):
            raise CodecError(_NOT_DETERMINISTIC)
        position += len(piece)
    if position != len(data):
        raise CodecError(_NOT_DETERMINISTIC)


_LONG = 1 << 16
_NOT_DETERMINISTIC = "the CBOR is not in its deterministic form, or has bytes after its end"


def _refuse_tag(*_: object) -> NoReturn:
    raise CodecError("tags have no place in this format")


_NO_TAGS = dict.fromkeys(_TAGS_CBOR2_BUILDS, _refuse_tag)


UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP = range(6)
"""Major types (RFC 8949 section 3.1)."""


def head(major: int, argument: int) -> bytes:
    """Major type and argument in the shortest form (RFC 8949 section 3)."""
    first = major << 5
    if argument < 24:
        return bytes((first | argument,))
    if argument < 1 << 8:
        return bytes((first | 24, argument))
    if argument < 1 << 16:
        return bytes((first | 25,)) + argument.to_bytes(2, "big")
    if argument < 1 << 32:
        return bytes((first | 26,)) + argument.to_bytes(4, "big")
    return bytes((first | 27,)) + argument.to_bytes(8, "big")


_SHORT = 256
_TABLE = 8
"""Rows from which on it pays to look whether an array is a table."""
_INTEGERS, _BYTE_HEADS, _ARRAY_HEADS = (
    tuple(head(major, n) for n in range(_SHORT)) for major in (UNSIGNED, BYTES, ARRAY)
)
_SIMPLE = {False: b"\xf4", True: b"\xf5", None: b"\xf6"}


def _encoded(value: Value, depth: int) -> bytes:
    out: list[bytes] = []
    _append((value,), out, depth)
    return b"".join(out)


def _append(values: Iterable[Value], out: list[bytes], depth: int) -> None:
    """Append the encodings of the values. Frequent types come first, and arrays call once for all their items."""
    for value in values:
        kind = type(value)
        if kind is bytes:
            size = len(value)
            out.append(_BYTE_HEADS[size] if size < _SHORT else head(BYTES, size))
            out.append(value)
        elif kind is int:
            out.append(_INTEGERS[value] if 0 <= value < _SHORT else _integer(value))
        elif kind is str:
            out.append(_text(value))
        elif value is None or kind is bool:
            out.append(_SIMPLE[value])
        elif depth <= 0:
            raise CodecError("the value is nested too deeply")
        elif kind is list or kind is tuple:
            size = len(value)
            out.append(_ARRAY_HEADS[size] if size < _SHORT else head(ARRAY, size))
            if size < _TABLE or depth < 2 or not _append_table(value, out, depth - 2):
                _append(value, out, depth - 1)
        elif kind is dict:
            _append_map(value, out, depth - 1)
        else:
            raise CodecError(f"values of type {kind.__name__} have no place in this format")


def _append_table(rows: Sequence[Value], out: list[bytes], depth: int) -> bool:
    """Append rows of one length whose columns are of one kind each, column by column, or byte strings of one short length, such as
    hashes; False, and nothing done, for others. `depth`: of an item.

    Nearly all items of a round's messages stand in such a table of one row per neighbour.
    """
    items = set(map(type, rows))
    if items not in ({list}, {bytes}) or len(widths := set(map(len, rows))) != 1:
        return False
    if not 0 < (width := widths.pop()) < _SHORT:
        return False
    if items == {bytes}:
        out += (_BYTE_HEADS[width], _BYTE_HEADS[width].join(rows))
        return True
    if type(rows[0][0]) is list:
        return False  # no row begins with an array: these are several tables, or nothing of the kind
    pieces: list[Iterable[bytes]] = [repeat(_ARRAY_HEADS[width])]
    for column in zip(*rows, strict=True):
        kinds = set(map(type, column))
        if kinds == {bytes} and len(sizes := set(map(len, column))) == 1 and (size := sizes.pop()) < _SHORT:
            pieces += [repeat(_BYTE_HEADS[size]), column]
        elif kinds == {int}:
            short = min(column) >= 0 and max(column) < _SHORT
            pieces.append(map(_INTEGERS.__getitem__ if short else _integer, column))
        elif kinds == {str}:
            pieces.append(map(_text, column))
        elif kinds == {list}:
            pieces.append([_encoded(item, depth) for item in column])
        else:
            return False
    out.extend(chain.from_iterable(zip(*pieces, strict=False)))
    return True


def _append_map(value: dict[Any, Value], out: list[bytes], depth: int) -> None:
    for key in value:
        if type(key) is not str:
            raise CodecError("map keys must be text")
    out.append(head(MAP, len(value)))
    for encoded, item in sorted(((_text(key), item) for key, item in value.items()), key=itemgetter(0)):
        out.append(encoded)
        _append((item,), out, depth)


def _integer(value: int) -> bytes:
    if not -LARGEST <= value <= LARGEST:
        raise CodecError("integers must lie within ±(2^53 − 1); money travels as text")
    return head(UNSIGNED, value) if value >= 0 else head(NEGATIVE, -1 - value)


class _Words(dict[str, bytes]):
    """Encodings of texts. The names of fields and the few words among values are the same in all messages: those are remembered."""

    def __missing__(self, text: str) -> bytes:
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise CodecError("text must be encodable as UTF-8") from error
        encoded = head(TEXT, len(data)) + data
        if len(text) <= _LONGEST_WORD and len(self) < _MOST_WORDS:
            self[text] = encoded
        return encoded


_LONGEST_WORD, _MOST_WORDS = 40, 1024
_text = _Words().__getitem__
