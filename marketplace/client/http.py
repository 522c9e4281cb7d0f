"""One connection to the API: the token, pages, refusals, and asking again where that is safe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from marketplace.client.errors import Refused, Unreachable

PREFIX = "/api/v1/"
TRIES = 4
LONGEST_WAIT = 65.0
"""Seconds. The API counts requests by the minute, so a `Retry-After` is never longer."""
BUSY = (429, 502, 503, 504)


class Connection:
    """Requests to `base_url`. Not for several threads at once."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=timeout, transport=transport)
        self._http.headers["Authorization"] = f"Bearer {token}"
        self._sleep = sleep

    def get(self, path: str, **query: Any) -> Any:
        return self._json("GET", path, params=_without_none(query))

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, key: str = "") -> Any:
        """`key` is an idempotency key: with one, a request whose answer got lost is sent again."""
        headers = {"Idempotency-Key": key} if key else {}
        return self._json("POST", path, json=dict(body or {}), headers=headers)

    def file(self, path: str) -> bytes:
        return self._answer("GET", path).content

    def pages(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """The entries of every page of a list, asked for as they are needed."""
        page = self.get(path, **query)
        while True:
            yield from page["results"]
            if not page["next"]:
                return
            # Only path and query: behind a proxy the server may call itself by another name.
            page = self._json("GET", httpx.URL(page["next"]).raw_path.decode())

    def close(self) -> None:
        self._http.close()

    def _json(self, method: str, path: str, **options: Any) -> Any:
        answer = self._answer(method, path, **options)
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise Unreachable(f"The answer of {answer.url} is not JSON. Is this the marketplace?") from error

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        address = path if path.startswith("/") else PREFIX + path
        again = method == "GET" or bool(options.get("headers", {}).get("Idempotency-Key"))
        for left in reversed(range(TRIES)):
            try:
                answer = self._http.request(method, address, **options)
            except httpx.TransportError as error:
                if not (left and again):
                    raise Unreachable(f"{self._http.base_url} does not answer: {error}") from error
                self._sleep(1.0)
                continue
            # A throttled request was not carried out, so it is always safe to send it again.
            if answer.status_code in BUSY and left and (again or answer.status_code == 429):
                self._sleep(_wait(answer))
                continue
            return _checked(answer)
        raise AssertionError("the last try returns or raises")


def _wait(answer: httpx.Response) -> float:
    said = answer.headers.get("Retry-After", "")
    return min(LONGEST_WAIT, float(said) if said.isascii() and said.isdecimal() else 1.0)


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        problem = answer.json()
        raise Refused(
            str(problem["code"]),
            str(problem["detail"]),
            status=answer.status_code,
            fields=problem.get("fields"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreachable(
            f"{answer.url} answered {answer.status_code} without saying why. Is this the marketplace?"
        ) from error


def _without_none(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}
