"""Requests between roles, past the middleware that is for people.

They carry a signature of their own, so sessions, CSRF tokens, languages and messages mean nothing to them; half of such a request's
time went there.
"""

from __future__ import annotations

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response
from django.middleware.security import SecurityMiddleware

PREFIX = "/internal/"


class InternalHandler(ASGIHandler):
    """Django with its security headers and nothing else around the views."""

    def load_middleware(self, is_async: bool = True) -> None:
        self._view_middleware: list[object] = []
        self._template_response_middleware: list[object] = []
        self._exception_middleware: list[object] = []
        views = convert_exception_to_response(self._get_response_async)
        self._middleware_chain = convert_exception_to_response(SecurityMiddleware(views))
