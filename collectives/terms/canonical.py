"""The one byte form of a JSON document: RFC 8785 (JSON Canonicalization Scheme), and its SHA-256."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import rfc8785

from collectives.terms.errors import TermsError

MAX_BYTES = 256 * 1024


def canonical(document: Any) -> bytes:
    """Raises:
    TermsError: `not_json`, for values JSON cannot hold (NaN, integers beyond 2^53, unpaired surrogates, other types).
    """
    try:
        body = rfc8785.dumps(document)
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError, TypeError) as error:
        raise TermsError("not_json", "The document holds a value that JSON cannot carry exactly.") from error
    if len(body) > MAX_BYTES:
        raise TermsError("too_large", f"The document is larger than {MAX_BYTES // 1024} KiB.")
    return bytes(body)


def digest(document: Any) -> bytes:
    """SHA-256 of the canonical form, 32 bytes."""
    return hashlib.sha256(canonical(document)).digest()


def parse_json(text: str | bytes) -> Any:
    """JSON with unique names, at most 256 KiB.

    Raises:
        TermsError: `not_json`.
    """
    if len(text) > MAX_BYTES:
        raise TermsError("too_large", f"The document is larger than {MAX_BYTES // 1024} KiB.")
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise TermsError("not_json", "The text is not valid JSON.") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)
