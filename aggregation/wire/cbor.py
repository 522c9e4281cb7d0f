"""Deterministic CBOR: the subset of RFC 8949 section 4.2.1 that every signed byte string here uses.

Allowed: integers within ±(2^53 − 1), byte strings, text, arrays, maps with text keys, true, false, null. Map keys are
sorted by their encoded bytes, every length is in its shortest form. Nothing else: no floats, tags, indefinite lengths.

`cbor2` encodes canonically but decodes leniently, so decoding ends with encoding again and comparing: whatever is not in
the one allowed form differs. Tags are refused before `cbor2` builds anything of them: some of its types (decimals,
regular expressions, shared references) cost more to build than the few bytes that ask for them.
"""

from __future__ import annotations

import io
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
    _check(value, max_depth)
    return bytes(cbor2.dumps(value, canonical=True))


def decode(data: bytes, *, max_depth: int = MAX_DEPTH) -> Value:
    """The value of an encoding that is exactly in the allowed form.

    Raises:
        CodecError: anything else, with no part of the input in the message.
    """
    decoder = cbor2.CBORDecoder(
        io.BytesIO(data),
        max_depth=max_depth + 1,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
        semantic_decoders=_NO_TAGS,
    )
    try:
        value = decoder.decode()
    except Exception as error:  # cbor2 lets several built-in errors through on hostile input
        raise CodecError("this is not CBOR of the allowed kinds") from error
    if encode(value, max_depth=max_depth) != data:
        raise CodecError("the CBOR is not in its deterministic form, or has bytes after its end")
    return value


def _refuse_tag(*_: object) -> NoReturn:
    raise CodecError("tags have no place in this format")


_NO_TAGS = dict.fromkeys(_TAGS_CBOR2_BUILDS, _refuse_tag)


def _check(value: Value, depth: int) -> None:
    """Runs over every value of every message, so the frequent types come first and are compared, not looked up."""
    kind = type(value)
    if kind is bytes or value is None or kind is bool:
        return
    if kind is int:
        if not -LARGEST <= value <= LARGEST:
            raise CodecError("integers must lie within ±(2^53 − 1); money travels as text")
    elif kind is str:
        _check_text(value)
    elif depth <= 0:
        raise CodecError("the value is nested too deeply")
    elif kind is list or kind is tuple:
        for item in value:
            _check(item, depth - 1)
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise CodecError("map keys must be text")
            _check_text(key)
            _check(item, depth - 1)
    else:
        raise CodecError(f"values of type {kind.__name__} have no place in this format")


def _check_text(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CodecError("text must be encodable as UTF-8") from error
