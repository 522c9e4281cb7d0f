"""Signed service requests: the right role, the right request, now, once."""

from __future__ import annotations

from typing import Any

import pytest

from aggregation.wire import http, signing
from aggregation.wire.errors import AuthError
from aggregation.wire.secret import Secret

KEY = Secret(b"\x05" * 32)
NOW = 1_800_000_000
REQUEST: dict[str, Any] = {"method": "PUT", "path": "/internal/x?wait=3", "body": b'{"a":1}'}


def signed(**changes: Any) -> str:
    return http.sign_request(
        **{"role": "market", "private": KEY, "now": NOW, "nonce": b"n" * 16, **REQUEST, **changes}
    )


def verified(header: str, **changes: Any) -> str:
    defaults = {"now": NOW, "keys": {"market": signing.public_key(KEY)}, "seen": lambda nonce: False}
    return http.verify_request(header=header, **{**defaults, **REQUEST, **changes})


def test_it_names_the_role() -> None:
    assert verified(signed()) == "market"
    assert verified(signed(method="put")) == "market"
    assert verified(signed(), now=NOW + 30) == "market"


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "POST"},
        {"path": "/internal/x?wait=4"},
        {"body": b""},
        {"now": NOW + 31},
        {"now": NOW - 31},
        {"keys": {}},
        {"keys": {"market": signing.public_key(Secret(b"\x06" * 32))}},
        {"keys": {"market": bytes(32)}},
        {"seen": lambda nonce: True},
    ],
)
def test_it_refuses_another_request_time_key_or_a_repetition(changes: dict[str, Any]) -> None:
    with pytest.raises(AuthError) as caught:
        verified(signed(), **changes)
    assert caught.value.code == "not_authorised"


@pytest.mark.parametrize(
    "header", ["", "Bearer x", signed() + " ", signed()[:-2], signed().replace("role=market", "role=Market")]
)
def test_it_refuses_malformed_headers(header: str) -> None:
    with pytest.raises(AuthError):
        verified(header)


def test_a_role_cannot_be_swapped_under_a_signature() -> None:
    keys = {"market": signing.public_key(KEY), "collectives": signing.public_key(KEY)}
    with pytest.raises(AuthError):
        verified(signed().replace("role=market", "role=collectives"), keys=keys)


def test_a_forged_request_does_not_use_up_a_nonce() -> None:
    noted: list[str] = []
    with pytest.raises(AuthError):
        verified(signed(), body=b"forged", seen=lambda nonce: bool(noted.append(nonce)))
    assert noted == []
