"""Compact JWS with one algorithm: EdDSA over Ed25519 (RFC 7515, RFC 8037). Headers are compared, never obeyed.

Whoever reads a token names the exact header it must have; `alg` is never taken from the token.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from nacl import bindings
from nacl.exceptions import BadSignatureError

from aggregation.wire import signing
from aggregation.wire.errors import BadKey
from aggregation.wire.secret import Secret
from attestation.formats.errors import AttestationError

ALG = "EdDSA"


def encode(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Strict base64url: its one canonical spelling.

    Raises:
        AttestationError: `malformed`.
    """
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise AttestationError("malformed", "The token is not base64url.") from None
    if encode(raw) != text:
        raise AttestationError("malformed", "The token is not base64url.")
    return raw


def parse(raw: bytes) -> dict[str, Any]:
    """A JSON object with unique names. Raises AttestationError (`malformed`)."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError
        return dict(pairs)

    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise AttestationError("malformed", "The token holds no JSON object.") from None
    if not isinstance(value, dict):
        raise AttestationError("malformed", "The token holds no JSON object.")
    return value


def sign(private: Secret, header: Mapping[str, Any], payload: Mapping[str, Any]) -> str:
    """A compact token; `alg` is added to the header."""
    parts = ({"alg": ALG, **header}, payload)
    body = ".".join(encode(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    _, expanded = bindings.crypto_sign_seed_keypair(private.reveal())
    return f"{body}.{encode(bindings.crypto_sign(body.encode(), expanded)[:64])}"


def peek(token: str, typ: str) -> dict[str, Any]:
    """The payload before any signature was checked, when the header is the expected one and nothing more.

    Raises:
        AttestationError: `malformed`, `wrong_algorithm`, `wrong_type`.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise AttestationError("malformed", "The token does not have three parts.")
    header = parse(decode(parts[0]))
    if header.get("alg") != ALG:
        raise AttestationError("wrong_algorithm", "The token must be signed with EdDSA over Ed25519.")
    if header.get("typ") != typ:
        raise AttestationError("wrong_type", f"The token must be of the type {typ}.")
    if set(header) - {"alg", "typ", "kid"}:
        raise AttestationError("malformed", "The token's header holds a part that is not used here.")
    return parse(decode(parts[1]))


def verify(token: str, public: bytes, typ: str) -> dict[str, Any]:
    """The payload of a token signed by this key.

    Raises:
        AttestationError: as `peek`, and `bad_signature`.
    """
    payload = peek(token, typ)
    body, _, signature = token.rpartition(".")
    try:
        signing.check_public_key(public)
        bindings.crypto_sign_open(decode(signature) + body.encode("ascii"), public)
    except (BadKey, BadSignatureError, UnicodeEncodeError, ValueError):
        raise AttestationError("bad_signature", "The token is not signed by the key that it names.") from None
    return payload
