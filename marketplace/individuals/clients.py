"""Signed HTTP to the distributor: mailboxes and what lies in them. Every call is idempotent by its path or reference."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpx
from django.conf import settings

from aggregation.wire.http import sign_request
from aggregation.wire.secret import Secret
from marketplace import service_words
from marketplace.individuals.errors import DistributorDown, IndividualError
from marketplace.keys import read_key

PREFIX = "/internal/distributor"
TIMEOUT = httpx.Timeout(5.0, connect=2.0)


@dataclass(frozen=True, kw_only=True)
class MailboxState:
    connected: bool
    last_seen: int | None


def put_mailbox(key: str) -> None:
    _call("PUT", f"/mailboxes/{key}", {})


def move_mailbox(key: str, *, to: str) -> None:
    _call("PUT", f"/mailboxes/{key}/moved", {"to": to})


def delete_mailbox(key: str) -> None:
    _call("DELETE", f"/mailboxes/{key}")


def mailbox_state(key: str) -> MailboxState:
    answer = _call("GET", f"/mailboxes/{key}")
    return MailboxState(connected=bool(answer["connected"]), last_seen=answer["last_seen"])


def post_message(*, key: str, ref: str, kind: str, body: str, expires: int) -> str:
    """Leave a mail; returns its state."""
    answer = _call(
        "POST", f"/mailboxes/{key}/messages", {"ref": ref, "kind": kind, "body": body, "expires": expires}
    )
    return str(answer["state"])


def message_state(*, key: str, ref: str) -> str:
    """waiting, done, refused or expired."""
    return str(_call("GET", f"/mailboxes/{key}/messages/{ref}")["state"])


def _call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Raises:
    DistributorDown: no answer, a 5xx or a 429.
    IndividualError: refused; carries the distributor's code.
    """
    content = json.dumps(body).encode() if body is not None else b""
    headers = {
        "Authorization": sign_request(
            role="market",
            private=_private_key(str(settings.MARKET_KEY_FILE)),
            method=method,
            path=PREFIX + path,
            body=content,
            now=int(time.time()),
            nonce=secrets.token_bytes(16),
        ),
        "Content-Type": "application/json",
    }
    try:
        answer = client().request(method, PREFIX + path, content=content, headers=headers)
    except httpx.HTTPError as error:
        raise DistributorDown from error
    if answer.status_code >= 500 or answer.status_code == 429:
        raise DistributorDown
    if answer.status_code >= 400:
        raise _refusal(answer)
    return dict(answer.json()) if answer.content else {}


def client() -> httpx.Client:
    """One connection pool per address; tests put another transport here."""
    return _client(settings.DISTRIBUTOR_URL)


@lru_cache(maxsize=4)
def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=False)


@lru_cache(maxsize=1)
def _private_key(path: str) -> Secret:
    return Secret(read_key(path))


def _refusal(answer: httpx.Response) -> IndividualError:
    try:
        problem = answer.json()
        sentence = service_words.KNOWN.sentence(str(problem["detail"]))
        return IndividualError(str(problem["code"]), sentence, status=answer.status_code)
    except (ValueError, KeyError, TypeError):
        return IndividualError(
            "refused",
            "The wallet service answered %(status_code)s.",
            status=answer.status_code,
            status_code=answer.status_code,
        )
