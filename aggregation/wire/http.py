"""Signed service requests between roles: who calls, what exactly, when, once.

`Authorization: CSSI role=<role>,ts=<unix seconds>,nonce=<hex>,sig=<hex>`; the Ed25519 signature covers method, path with query,
SHA-256 of the body, time and nonce.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping

from aggregation.wire import signing
from aggregation.wire.errors import AuthError, WireError
from aggregation.wire.secret import Secret

LABEL = b"cssi/v1/service-request"
MAX_AGE = 30
_HEADER = re.compile(
    r"CSSI role=(?P<role>[a-z]{1,20}),ts=(?P<ts>[0-9]{1,12}),nonce=(?P<nonce>[0-9a-f]{32}),sig=(?P<sig>[0-9a-f]{128})"
)


def _body(role: str, method: str, path: str, body: bytes, ts: int, nonce: str) -> dict[str, object]:
    digest = hashlib.sha256(body).digest()
    return {"role": role, "method": method.upper(), "path": path, "body": digest, "ts": ts, "nonce": nonce}


def sign_request(
    *, role: str, private: Secret, method: str, path: str, body: bytes, now: int, nonce: bytes
) -> str:
    """The `Authorization` value. `path` includes the query string; `nonce` is 16 fresh random bytes."""
    text = nonce.hex()
    signature = signing.sign(private, LABEL, _body(role, method, path, body, now, text))
    return f"CSSI role={role},ts={now},nonce={text},sig={signature.hex()}"


def verify_request(
    *,
    header: str,
    method: str,
    path: str,
    body: bytes,
    now: int,
    keys: Mapping[str, bytes],
    seen: Callable[[str], bool],
    max_age: int = MAX_AGE,
) -> str:
    """The role that signed the request.

    Args:
        keys: role -> Ed25519 public key.
        seen: notes a nonce and returns whether it was noted before; must remember for 2 × `max_age` seconds.

    Raises:
        AuthError: malformed, unknown role, too old or too new, bad signature, or seen before.
    """
    match = _HEADER.fullmatch(header)
    if match is None:
        raise AuthError("the request carries no service signature")
    role, ts, nonce = match["role"], int(match["ts"]), match["nonce"]
    key = keys.get(role)
    if key is None:
        raise AuthError("the request names an unknown role")
    if abs(now - ts) > max_age:
        raise AuthError("the request is too old or the clocks disagree; compare the clocks of both services")
    try:
        signing.verify(key, LABEL, _body(role, method, path, body, ts, nonce), bytes.fromhex(match["sig"]))
    except WireError as error:
        raise AuthError("the request's signature does not fit") from error
    if seen(nonce):
        raise AuthError("the request was sent before")
    return role
