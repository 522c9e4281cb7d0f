"""Signed HTTP to the distributor and the aggregator; the only way the collective domain speaks to them.

Every call is idempotent by its path, so a call that got no answer is simply made again.
"""

from __future__ import annotations

import json
import secrets
import time
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from aggregation.wire.http import sign_request
from aggregation.wire.secret import Secret
from collectives.errors import ServiceRefused, ServiceUnavailable
from collectives.services.keys import read_key_file

TIMEOUT = httpx.Timeout(15.0, connect=3.0)
LATER = (401, 403, 408, 425, 429)
"""Refusals that say nothing of the call itself: clocks or keys that do not fit now, too fast, too early."""


class Service:
    """One role, by its base URL and path prefix."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url.rstrip("/") + prefix
        self._client = httpx.Client(timeout=TIMEOUT, trust_env=False)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON answer.

        Raises:
            ServiceUnavailable: no answer, a 5xx, one of `LATER`, or no JSON (something between us answered).
            ServiceRefused: a 4xx, with the problem's code.
        """
        url = self._url + path
        content = json.dumps(body).encode() if body is not None else b""
        parts = urlsplit(url)
        signature = sign_request(
            role="collectives",
            private=_private_key(),
            method=method,
            path=parts.path + (f"?{parts.query}" if parts.query else ""),
            body=content,
            now=int(time.time()),
            nonce=secrets.token_bytes(16),
        )
        headers = {"Authorization": signature, "Content-Type": "application/json"}
        try:
            answer = self._client.request(method, url, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise ServiceUnavailable(f"{parts.path}: {type(error).__name__}") from error
        if answer.status_code >= 500 or answer.status_code in LATER:
            raise ServiceUnavailable(f"{parts.path}: {answer.status_code}")
        if answer.status_code >= 400:
            raise _refusal(answer)
        try:
            return dict(answer.json()) if answer.content else {}
        except (ValueError, TypeError) as error:
            raise ServiceUnavailable(f"{parts.path}: not a JSON object") from error


def _refusal(answer: httpx.Response) -> ServiceRefused:
    try:
        problem = answer.json()
        return ServiceRefused(str(problem["code"]), str(problem["detail"]), answer.status_code)
    except (ValueError, KeyError, TypeError):
        return ServiceRefused("refused", f"The service answered {answer.status_code}.", answer.status_code)


@lru_cache(maxsize=1)
def _private_key() -> Secret:
    return Secret(read_key_file(settings.COLLECTIVES_KEY_FILE))


@lru_cache(maxsize=4)
def _service(url: str, prefix: str) -> Service:
    return Service(url, prefix)


def distributor() -> Service:
    return _service(settings.DISTRIBUTOR_URL, "/internal/distributor")


def aggregator() -> Service:
    return _service(settings.AGGREGATOR_URL, "/internal/aggregator")
