"""Errors of the HTTP APIs as RFC 9457 problem documents.

A domain's error names itself with `code` and says in one sentence what to do; views let it rise. The status is the
error's own `status`, 400 where it names none.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from collectives.errors import ServiceUnavailable
from collectives.words import told
from marketplace.parsers import TooDeep, TooLarge
from marketplace.settlement.errors import ChainUnavailable

NOT_JSON = "The body cannot be read. Send one JSON object in UTF-8; NaN and Infinity are no JSON."
"""The parser's own words name lines of our libraries, not what to do."""
LATER = (
    "The chain or another part of this site does not answer now. Nothing was changed; try again in a minute."
)


def problem_json(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's `EXCEPTION_HANDLER`: our named errors and DRF's own, as `application/problem+json`."""
    if isinstance(error, RequestDataTooBig):
        error = TooLarge()
    if isinstance(error, Http404 | PermissionDenied | exceptions.APIException):
        response = exception_handler(error, context)
        if response is None:  # pragma: no cover - DRF answers for all three
            return None
        code = getattr(error, "default_code", None) or "not_found"
        unread = isinstance(error, exceptions.ParseError) and not isinstance(error, TooDeep)
        sentence = NOT_JSON if unread else _sentence(response.data)
        body = {"code": code, "status": response.status_code, "detail": sentence}
        if isinstance(error, exceptions.ValidationError):
            body["fields"] = response.data
        return _problem(body, response.status_code, dict(response.headers))
    if isinstance(error, ChainUnavailable | ServiceUnavailable):
        body = {"code": "unavailable", "status": 503, "detail": LATER}
        return _problem(body, 503, {"Retry-After": "30"})
    code = getattr(error, "code", None)
    if not isinstance(code, str):
        return None  # a bug of ours: Django logs it and answers 500
    status = int(getattr(error, "status", 400))
    return _problem({"code": code, "status": status, "detail": told(error)}, status, {})


def _sentence(data: Any) -> str:
    if isinstance(data, dict) and "detail" in data:
        return str(data["detail"])
    return "Some fields are not right; see the field messages."


def _problem(body: dict[str, Any], status: int, headers: dict[str, str]) -> Response:
    headers.pop("Content-Type", None)
    return Response(body, status=status, headers=headers, content_type="application/problem+json")
