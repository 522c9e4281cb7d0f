"""Signed HTTP to the aggregator: closing an epoch, telling it that the epoch is paid, comparing totals."""

from __future__ import annotations

import json
import secrets
import time
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from aggregation.wire.http import sign_request
from aggregation.wire.secret import Secret
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from marketplace.keys import read_key
from marketplace.settlement.errors import ChainUnavailable, SettlementError


class AggregatorUnavailable(ChainUnavailable):
    """The aggregator did not answer; try again later."""


def close_epoch(
    number: int, final_jobs: list[str], sales: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The aggregator's signed statement of an epoch (idempotent by number), as its envelope.

    `sales` names sold models whose individuals' part this epoch pays: see `sales.due`.

    Raises:
        SettlementError: `bad_statement`, when it is not signed by the pinned key or is another epoch's.
    """
    body = {
        "epoch": number,
        "final_jobs": final_jobs,
        "lot": str(settings.LOT or 0),
        "min_recipients": settings.EPOCH_MIN_RECIPIENTS,
        "min_collectives": settings.EPOCH_MIN_COLLECTIVES,
        "sales": sales or [],
    }
    envelope = call("POST", "/epochs", body)
    try:
        document = SignedDocument.from_json(envelope).open("epoch", settings.AGGREGATOR_KEY)
    except TermsError as error:
        raise SettlementError(
            "bad_statement", "The epoch statement is refused: %(error)s", error=error
        ) from error
    if document["epoch"] != number:
        raise SettlementError(
            "bad_statement",
            "The statement is of epoch %(epoch)s, not %(number)s.",
            epoch=str(document["epoch"]),
            number=str(number),
        )
    return envelope


def epoch_settled(number: int, keep: list[str], seal: Secret) -> None:
    """Visits of the epoch may be forgotten; those of the jobs in `keep` stay sealed, for a sale of their models."""
    call("POST", f"/epochs/{number}/settled", {"keep": keep, "seal": seal.reveal().hex()})


def shares(job_id: str) -> dict[str, Any]:
    """`epochs` and `visits` that are kept for a job."""
    return call("GET", f"/jobs/{job_id}/shares")


def totals() -> dict[str, int]:
    """`earned stated carried held_over` of the visit ledger, base units."""
    return {name: int(value) for name, value in call("GET", "/totals").items()}


def call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """One signed call.

    Raises:
        AggregatorUnavailable: no answer, or a 5xx.
        SettlementError: a 4xx.
    """
    url = settings.AGGREGATOR_URL.rstrip("/") + "/internal/aggregator" + path
    content = json.dumps(body).encode() if body is not None else b""
    signature = sign_request(
        role="market",
        private=Secret(read_key(settings.MARKET_KEY_FILE)),
        method=method,
        path=urlsplit(url).path,
        body=content,
        now=int(time.time()),
        nonce=secrets.token_bytes(16),
    )
    headers = {"Authorization": signature, "Content-Type": "application/json"}
    try:
        answer = _client().request(method, url, content=content, headers=headers)
    except httpx.HTTPError as error:
        raise AggregatorUnavailable(type(error).__name__) from error
    if answer.status_code >= 500:
        raise AggregatorUnavailable(str(answer.status_code))
    if answer.status_code >= 400:
        raise SettlementError(
            "aggregator_refused",
            "The aggregator refused %(path)s: %(text)s",
            path=path,
            text=answer.text[:200],
        )
    return dict(answer.json())


@cache
def _client() -> httpx.Client:
    """One for the process: reading the machine's certificates anew costs forty milliseconds a call."""
    return httpx.Client(timeout=15, trust_env=False)
