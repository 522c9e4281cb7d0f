"""The holder's own pages on this machine: static files and a small JSON API, for one person, on the loopback address only.

Who may speak to it: whoever has the random token, which the link carries behind `#` (a fragment is never sent or logged). Every call
carries it in a header, so a page of another origin cannot act through the browser; the Host must be this very address, so a
name that was pointed at it cannot either. Nothing is loaded from anywhere else, and the policy in each answer says so.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

from wallets.agent import local_views, plain_json
from wallets.agent.errors import LockedOut, NotFound, StoreError, Unreachable, WalletError
from wallets.agent.holder import Holder

LOOPBACK = "127.0.0.1"
LARGEST_BODY = 64 * 1024 * 1024
WEB = Path(__file__).parent / "web"
SHARED = ("form.js", "german_form.js", "phrases.js", "rules.js")
"""Of the data creation tool (collectives.datatool): one form for what a requirement asks for, wherever it is filled in."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class LocalPages:
    """The application. `link` leads to it."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder
        self._token = secrets.token_urlsafe(32)
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._server: uvicorn.Server | None = None

    @property
    def link(self) -> str:
        """The address to open, with the token in its fragment."""
        return f"http://{LOOPBACK}:{self.port}/#{self._token}"

    async def serve(self) -> None:
        """Answer until cancelled; the wallet is locked afterwards."""
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            log_level="error",
            lifespan="off",
            access_log=False,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.ensure_future(self._server.serve(sockets=[self._listener]))
        try:
            await asyncio.shield(serving)
        finally:
            self._server.should_exit = self._server.force_exit = True
            with suppress(asyncio.CancelledError, Exception):
                await serving
            self._listener.close()
            await self._holder.lock()

    async def _app(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        status, kind, body = await self._answer(scope, headers, receive)
        lines = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        lines += [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(
        self, scope: Mapping[str, Any], headers: Mapping[str, str], receive: Receive
    ) -> tuple[int, str, bytes]:
        if headers.get("host") != f"{LOOPBACK}:{self.port}":
            return _problem(421, "wrong_host", "Open these pages by the link the wallet printed.")
        path, method = str(scope["path"]), scope["method"]
        if not path.startswith("/api/"):
            return (
                _static(path) if method in {"GET", "HEAD"} else _problem(405, "method", "Only reading here.")
            )
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return _problem(401, "token", "This page is not yours. Open the link the wallet printed.")
        if headers.get("origin", f"http://{LOOPBACK}:{self.port}") != f"http://{LOOPBACK}:{self.port}":
            return _problem(403, "origin", "Another site tried to use this wallet.")
        views = {"GET": local_views.READS, "POST": local_views.ACTS}.get(method, {})
        view = views.get(path.removeprefix("/api/"))
        if view is None:
            return _problem(404, "not_found", "There is nothing of that name.")
        try:
            asked = await _asked(scope, receive)
        except ValueError:
            return _problem(400, "malformed", "The request is not JSON.")
        return await self._view(view, asked, quiet=path == "/api/overview")

    async def _view(
        self, view: local_views.View, asked: Mapping[str, Any], *, quiet: bool
    ) -> tuple[int, str, bytes]:
        """`quiet`: a page that refreshes itself is not the holder doing something."""
        try:
            if not quiet:
                self._holder.touch()
            return _json(200, await view(self._holder, asked))
        except LockedOut as error:
            return _json(
                429, {"code": error.code, "sentence": error.sentence, "retry_after": error.retry_after}
            )
        except NotFound as error:
            return _problem(404, error.code, error.sentence)
        except StoreError as error:
            return _problem(423 if error.code == "locked" else 409, error.code, error.sentence)
        except Unreachable as error:
            return _problem(503, error.code, f"{error.sentence} Nothing was lost. Try again when it answers.")
        except WalletError as error:
            return _problem(400, error.code, error.sentence)


async def _asked(scope: Mapping[str, Any], receive: Receive) -> dict[str, Any]:
    """Query of a GET, JSON object of a POST. Raises ValueError."""
    if scope["method"] == "GET":
        return dict(parse_qsl(scope["query_string"].decode("latin-1")))
    body = bytearray()
    while True:
        event = await receive()
        body += event.get("body", b"")
        if len(body) > LARGEST_BODY:
            raise ValueError("too long")
        if not event.get("more_body"):
            break
    value = plain_json.loads(bytes(body)) if body else {}
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - to the caller it is one more kind of bad JSON
    return value


def _static(path: str) -> tuple[int, str, bytes]:
    """A file of the web folder, or a shared one, by its plain name; nothing else can be named."""
    name = "index.html" if path == "/" else path.removeprefix("/")
    known = {file.name: file.read_bytes for file in WEB.iterdir() if file.suffix in TYPES}
    known |= {
        shared: resources.files("collectives.datatool").joinpath(shared).read_bytes for shared in SHARED
    }
    if name not in known:
        return _problem(404, "not_found", "There is nothing of that name.")
    return 200, TYPES[Path(name).suffix], known[name]()


def _problem(status: int, code: str, sentence: str) -> tuple[int, str, bytes]:
    return _json(status, {"code": code, "sentence": sentence})


def _json(status: int, value: Any) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(value, ensure_ascii=False).encode()
