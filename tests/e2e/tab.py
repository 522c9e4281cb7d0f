"""A page with one module worker that answers questions, and the files it is made of, served under the wallet's own strict policy."""

from __future__ import annotations

import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
FOLDERS = {"/wallet/": ROOT / "static" / "wallet", "/e2e/": ROOT / "tests" / "e2e" / "js"}
POLICY = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self' ws://127.0.0.1:*; base-uri 'none'; form-action 'none'"
PAGE = '<!doctype html><html lang="en"><title>wallet</title><script type="module" src="/e2e/page.js"></script></html>'


def answer(path: str) -> tuple[str, bytes] | None:
    """Content type and body of a path, or None."""
    if path == "/":
        return "text/html; charset=utf-8", PAGE.encode()
    for prefix, folder in FOLDERS.items():
        file = folder / path.removeprefix(prefix)
        if path.startswith(prefix) and file.parent == folder and file.is_file():
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            return kind, file.read_bytes()
    return None


class _Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = answer(self.path)
        self.send_response(200 if found else 404)
        kind, body = found or ("text/plain", b"")
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-security-policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def serving() -> Iterator[str]:
    """The address of a site with these files alone."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def opened(page: Page, url: str, worker: str) -> Page:
    """The page at `url` with its worker started."""
    page.set_default_timeout(60_000)
    page.goto(url)
    page.wait_for_selector("html[data-ready]", state="attached")
    page.evaluate("(name) => window.start(name)", f"/e2e/{worker}.js")
    return page


def settled(page: Page, what: str, expected: Any, **given: Any) -> None:
    """Ask until the answer is the expected one: a lock or a file of a page that has just gone is given back a moment later."""
    for _ in range(100):
        said = ask(page, what, **given)
        if said == expected:
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"{what}: {said}")


def ask(page: Page, what: str, **given: Any) -> Any:
    """What the worker's function of that name returns; a failure with a code is `{"error": code}`."""
    return page.evaluate("([what, given]) => window.ask(what, given)", [what, given])
