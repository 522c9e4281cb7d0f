"""The one byte form of a JSON document: RFC 8785 (JSON Canonicalization Scheme), and its SHA-256."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import rfc8785

from collectives.terms.errors import TermsError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
"""Lists and objects inside each other. Our deepest document needs a dozen; a parser that recurses needs a bound."""
_MARKS = re.compile(r'["\\\[\]{}]')


def canonical(document: Any, *, most: int = MAX_BYTES) -> bytes:
    """The RFC 8785 form.

    Args:
        most: bytes of it.

    Raises:
        TermsError: `not_json`, for values JSON cannot hold (NaN, integers beyond 2^53, unpaired surrogates, other types); `too_large`.
    """
    try:
        body = rfc8785.dumps(document)
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError, TypeError) as error:
        raise TermsError("not_json", "The document holds a value that JSON cannot carry exactly.") from error
    if len(body) > most:
        raise TermsError(
            "too_large", "The document is larger than %(max_bytes)s KiB.", max_bytes=most // 1024
        )
    return bytes(body)


def digest(document: Any, *, most: int = MAX_BYTES) -> bytes:
    """SHA-256 of the canonical form, 32 bytes. `most` and errors as there."""
    return hashlib.sha256(canonical(document, most=most)).digest()


def parse_json(text: str | bytes) -> Any:
    """JSON with unique names, at most 256 KiB and `MAX_DEPTH` deep.

    Raises:
        TermsError: `not_json`, `too_large`, `too_deep`.
    """
    if len(text) > MAX_BYTES:
        raise TermsError(
            "too_large", "The document is larger than %(max_bytes)s KiB.", max_bytes=MAX_BYTES // 1024
        )
    check_depth(text)
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise TermsError("not_json", "The text is not valid JSON.") from error


def check_depth(text: str | bytes) -> None:
    """Look at the brackets outside strings before any parser does. Linear in the length of the text, whatever stands in it.

    Raises:
        TermsError: `too_deep`.
    """
    # Latin-1 keeps every byte apart; brackets and quotes are the same in UTF-8.
    plain = text if isinstance(text, str) else bytes(text).decode("latin-1")
    if plain.count("[") + plain.count("{") <= MAX_DEPTH:
        return
    depth, quoted, skip = 0, False, -1
    for mark in _MARKS.finditer(plain):
        at, sign = mark.start(), mark.group()
        if at == skip:
            continue
        if sign == '"':
            quoted = not quoted
        elif sign == "\\":
            skip = at + 1
        elif not quoted:
            depth += 1 if sign in "[{" else -1
            if depth > MAX_DEPTH:
                raise TermsError(
                    "too_deep",
                    "The document is nested more than %(max_depth)s deep. Send a flatter one.",
                    max_depth=MAX_DEPTH,
                )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)
