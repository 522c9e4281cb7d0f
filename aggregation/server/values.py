"""Checked reading of what other services send: every refusal names the field and what it must be."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from aggregation.server.errors import Malformed

MISSING = object()


def hex_bytes(value: Any, name: str, length: int = 32) -> str:
    """Lowercase hex of exactly `length` bytes."""
    if isinstance(value, str) and len(value) == 2 * length and value == value.lower():
        try:
            bytes.fromhex(value)
        except ValueError:
            pass
        else:
            return value
    raise Malformed(f"{name} must be {length} bytes in lowercase hex.")


def integer(body: Mapping[str, Any], name: str, low: int = 0, high: int = 2**53 - 1) -> int:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Malformed(f"{name} must be an integer from {low} to {high}.")
    return value


def text(body: Mapping[str, Any], name: str, longest: int) -> str:
    value = body.get(name)
    if not isinstance(value, str) or len(value) > longest:
        raise Malformed(f"{name} must be text of at most {longest} characters.")
    return value


def b64(body: Mapping[str, Any], name: str) -> bytes:
    value = body.get(name)
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            pass
    raise Malformed(f"{name} must be base64.")


def uuid_of(value: Any, name: str) -> uuid.UUID:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise Malformed(f"{name} must be a UUID.") from None


def b64_list(body: Mapping[str, Any], name: str) -> list[bytes]:
    values = body.get(name)
    if not isinstance(values, list):
        raise Malformed(f"{name} must be a list of base64 texts.")
    return [b64({name: value}, name) for value in values]


def flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise Malformed(f"{name} must be true or false.")
    return value


def one_of(body: Mapping[str, Any], name: str, values: Sequence[str]) -> str:
    """One of these words; the first where nothing is said."""
    value = body.get(name, values[0])
    if value not in values:
        raise Malformed(f"{name} must be one of {', '.join(values)}.")
    return str(value)


def money(body: Mapping[str, Any], name: str) -> int:
    """Base units from a decimal string; null is zero."""
    value = body.get(name)
    if value is None:
        return 0
    if not isinstance(value, str) or not value.isascii() or not value.isdecimal() or len(value) > 38:
        raise Malformed(f"{name} must be a decimal string of base units.")
    return int(value)
