"""Change a message on its way: decode, change fields, encode again without checks. What is signed can be signed again."""

from __future__ import annotations

from typing import Any

from aggregation.secagg.messages import Message
from aggregation.wire import cbor


def changed(data: bytes, **fields: Any) -> bytes:
    """The message with some CBOR fields replaced; a callable gets the old value."""
    values = cbor.decode(data)
    for name, value in fields.items():
        values[name] = value(values[name]) if callable(value) else value
    return cbor.encode(values)


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def without(data: bytes, name: str) -> bytes:
    values = cbor.decode(data)
    del values[name]
    return cbor.encode(values)


def packed(message: Message) -> dict[str, Any]:
    return dict(cbor.decode(message.to_bytes()))
