"""The line between the site and its chain: every JSON-RPC call passes here, and something may happen before it or after it."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from marketplace.supervisor.servers import free_port

Hook = Callable[[str, list[Any], str], bool]
"""(method, parameters, "before" or "after" the chain did it) → cut the line here."""


class ChainLine:
    """Listens on `port`, passes on to `target`."""

    def __init__(self, target: int) -> None:
        self.port, self._target = free_port(), target
        self.hook: Hook | None = None
        line = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                try:
                    answer = line._pass(body)
                except OSError:
                    answer = None
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: Any) -> None:
                """A client that went away is what this suite is about."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def call(self, method: str, *parameters: Any) -> Any:
        """A call of our own, past the hook."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        return json.loads(self._ask(json.dumps(body).encode())).get("result")

    def _pass(self, body: bytes) -> bytes | None:
        request = json.loads(body)
        if self._cut(request, "before"):
            return None
        answer = self._ask(body)
        return None if self._cut(request, "after") else answer

    def _cut(self, request: Any, when: str) -> bool:
        hook = self.hook
        if hook is None or not isinstance(request, dict):
            return False
        return hook(str(request.get("method")), list(request.get("params", [])), when)

    def _ask(self, body: bytes) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._target, timeout=60)
        try:
            connection.request("POST", "/", body, {"Content-Type": "application/json"})
            return connection.getresponse().read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()
