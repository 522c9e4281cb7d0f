"""The door for other services: signed requests in, JSON out, named errors as problem documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from aggregation.server import config
from aggregation.server.errors import AggregatorError, Malformed
from aggregation.wire import http
from aggregation.wire.errors import WireError

View = Callable[..., Any]


def seen(nonce: str) -> bool:
    """Notes a nonce for as long as its request could be replayed; True when it was noted before."""
    return not cache.add(f"aggregator:nonce:{nonce}", 1, timeout=2 * http.MAX_AGE + 5)


def _authenticate(request: HttpRequest, roles: tuple[str, ...]) -> bytes:
    if int(request.META.get("CONTENT_LENGTH") or 0) > config.MAX_BODY:
        raise Malformed("The body is too large.", code="too_large", status=413)
    body = request.read()
    query = request.META.get("QUERY_STRING", "")
    role = http.verify_request(
        header=request.headers.get("Authorization", ""),
        method=request.method or "",
        path=f"{request.path}?{query}" if query else request.path,
        body=body,
        now=config.now(),
        keys=config.service_keys(),
        seen=seen,
    )
    if role not in roles:
        raise AggregatorError(f"The role {role} may not call this.", code="forbidden", status=403)
    return body


def problem(code: str, sentence: str, status: int) -> JsonResponse:
    body = {"code": code, "status": status, "detail": sentence}
    return JsonResponse(body, status=status, content_type="application/problem+json")


def service(*roles: str, **methods: View) -> View:
    """One resource: `service("market", GET=read, PUT=write)`. Handlers get the path's values, and as `body`
    the JSON body, or for GET the query."""

    @csrf_exempt
    def view(request: HttpRequest, **values: Any) -> HttpResponse:
        handler = methods.get(request.method or "")
        if handler is None:
            return problem("method_not_allowed", f"Use one of {', '.join(sorted(methods))}.", 405)
        try:
            raw = _authenticate(request, roles)
            answer = handler(body=request.GET.dict() if request.method == "GET" else _parse(raw), **values)
        except (AggregatorError, WireError) as error:
            return problem(error.code, str(error), int(getattr(error, "status", 400)))
        return JsonResponse(answer, safe=False)

    return wraps(next(iter(methods.values())))(view)


def _parse(raw: bytes) -> dict[str, Any]:
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError:
        raise Malformed("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise Malformed("The body must be a JSON object.")
    return body
