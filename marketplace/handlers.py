"""Django under ASGI with one hop: a whole request, middleware and view, runs in one thread of a small lasting pool.

Django's own handler changes between the event loop and a fresh thread at every middleware that is not of the same kind, and opens new
database connections for every request, because that thread ends with it. All views here are plain functions, so the hops bought
nothing; they were about half of what a request cost (ADR 0022).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from asgiref.sync import sync_to_async
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import FileResponse
from django.middleware.security import SecurityMiddleware
from django.urls import set_script_prefix

INTERNAL = "/internal/"
# Threads mostly wait, for the database or for another role; more of them would only queue for the interpreter's lock.
THREADS = 12


class TooLarge(Exception):
    """A body is larger than this handler takes."""


class PageHandler(ASGIHandler):
    """Django with all its middleware. Bodies are read on the event loop: a slow sender holds no thread."""

    name = "request"
    largest = 4 * 1024 * 1024
    """Bytes of a body. Views have smaller limits of their own; this one keeps a body that nobody asked for from the disk."""

    def __init__(self) -> None:
        super().__init__()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=self.name)

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError(f"This handler serves HTTP, not {scope['type']}.")
        try:
            body = await self.read_body(self._bounded(scope, receive))
        except RequestAborted:
            return
        except TooLarge:
            await self._refuse(send)
            return
        with closing(body):
            response = await self._in_thread(self._respond, scope, body)
            await self._send(response, send)

    def _bounded(self, scope: Any, receive: Any) -> Any:
        """`receive` for a body of at most `largest` bytes, by what is announced and by what comes."""
        announced = dict(scope["headers"]).get(b"content-length", b"")
        came = 0

        async def bounded() -> Any:
            nonlocal came
            if announced.isdigit() and int(announced) > self.largest:
                raise TooLarge
            message = await receive()
            came += len(message.get("body", b""))
            if came > self.largest:
                raise TooLarge
            return message

        return bounded

    async def _refuse(self, send: Any) -> None:
        body = b'{"code":"too_large","status":413,"detail":"The body is too large."}'
        headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _respond(self, scope: Any, body: Any) -> Any:
        """Everything that may touch the database. Closing a response tells Django that its request has ended."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=type(self), scope=scope)
        request, refused = self.create_request(scope, body)
        response: Any = refused if request is None else self.get_response(request)
        response._handler_class = type(self)
        if not response.streaming:
            response.close()
        return response

    async def _send(self, response: Any, send: Any) -> None:
        if not response.streaming:
            await self.send_response(response, send)
            return
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        try:
            if not response.is_async:
                response.streaming_content = self._pieces(iter(response.streaming_content))
            await self.send_response(response, send)
        finally:
            await self._in_thread(response.close)

    async def _in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        return await sync_to_async(work, thread_sensitive=False, executor=self._pool)(*args)

    async def _pieces(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        while piece := await self._in_thread(next, pieces, b""):
            yield piece


class InternalHandler(PageHandler):
    """For requests between roles: security headers and nothing else around the views.

    They carry a signature of their own, so sessions, CSRF tokens, languages and messages mean nothing to them. Their threads
    are others than the pages', which wait for them when a process holds several roles; a view here calls no other role.
    """

    name = "internal"
    largest = 64 * 1024 * 1024

    def load_middleware(self, is_async: bool = False) -> None:
        self._view_middleware: list[object] = []
        self._template_response_middleware: list[object] = []
        self._exception_middleware: list[object] = []
        views = convert_exception_to_response(self._get_response)  # type: ignore[attr-defined]  # not in the stubs
        self._middleware_chain = convert_exception_to_response(SecurityMiddleware(views))
