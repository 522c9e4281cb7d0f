"""Calls to the aggregator: signed, bounded in time, with named errors."""

from __future__ import annotations

import base64
import json
import os
import uuid
from functools import cache
from typing import Any

import httpx

from aggregation.wire import http
from wallets.distributor import config
from wallets.distributor.errors import AggregatorDown, AggregatorRefused

ROLE = "distributor"
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 20.0
CHECKED_PER_SECOND = 250_000
"""Bytes of a body: the members of a job with a hundred thousand wallets are forty megabytes of signatures to check."""


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def signed_headers(method: str, path: str, body: bytes) -> dict[str, str]:
    value = http.sign_request(
        role=ROLE,
        private=config.private_key(),
        method=method,
        path=path,
        body=body,
        now=config.now(),
        nonce=os.urandom(16),
    )
    return {"Authorization": value, "Content-Type": "application/json"}


def put_members(job_id: uuid.UUID, body: dict[str, Any]) -> None:
    _call("PUT", f"/internal/aggregator/jobs/{job_id}/members", body)


def put_cohort(job_id: uuid.UUID, number: int, body: dict[str, Any]) -> None:
    _call("PUT", f"/internal/aggregator/jobs/{job_id}/rounds/{number}/cohort", body)


def delete_place(job_id: uuid.UUID, number: int, job_key: str) -> None:
    _call("DELETE", f"/internal/aggregator/jobs/{job_id}/rounds/{number}/cohort/{job_key}", {})


def letters() -> list[dict[str, Any]]:
    """Letters about exclusions that were not taken yet."""
    found: list[dict[str, Any]] = _call("GET", "/internal/aggregator/letters", {})
    return found


def took_letter(ident: uuid.UUID, revision: int) -> None:
    _call("POST", f"/internal/aggregator/letters/{ident}", {"revision": revision})


def _call(method: str, path: str, body: dict[str, Any]) -> Any:
    """Raises:
    AggregatorDown: no answer, or a fault of its own; repeat later.
    AggregatorRefused: it will not change its mind.
    """
    raw = json.dumps(body).encode()
    try:
        patience = httpx.Timeout(ANSWER_SECONDS + len(raw) / CHECKED_PER_SECOND, connect=CONNECT_SECONDS)
        url, headers = config.aggregator_url() + path, signed_headers(method, path, raw)
        answer = _client().request(method, url, content=raw, headers=headers, timeout=patience)
    except httpx.HTTPError as error:
        raise AggregatorDown("The aggregator does not answer; the call is repeated later.") from error
    return parsed(answer)


@cache
def _client() -> httpx.Client:
    """One for the process: reading the machine's certificates anew costs forty milliseconds a call."""
    return httpx.Client(trust_env=False)


def parsed(answer: httpx.Response) -> Any:
    if answer.status_code >= 500 or answer.status_code in {401, 408, 429}:
        raise AggregatorDown(f"The aggregator answered {answer.status_code}; the call is repeated later.")
    try:
        body = answer.json()
    except ValueError:
        raise AggregatorDown("The aggregator's answer is not JSON.") from None
    if answer.status_code >= 400:
        raise AggregatorRefused(
            str(body.get("detail", "refused"))[:300], code=str(body.get("code", "refused"))[:60]
        )
    return body
