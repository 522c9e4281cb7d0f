"""A small HTTP/1.1 client over asyncio and h11: one request, one bounded answer, connections kept between calls.

Written because an agent makes two requests per visit and a general client costs four times the processor time of these.
Every request of the agent is idempotent, so one that met a kept connection that had just been closed is sent again.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

KEPT_SECONDS = 4.0  # shorter than the servers' own five
KEPT_PER_ORIGIN = 8
AT_ONCE = 32
CHUNK = 1 << 16
Origin = tuple[str, str, int]


class HttpFailed(Exception):
    """The exchange did not complete."""


class AnswerTooLong(Exception):
    """The answer has more bytes than allowed; the rest was not read."""


@dataclass(kw_only=True)
class _Line:
    """One open connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    state: h11.Connection
    idle_since: float = 0.0

    def close(self) -> None:
        with suppress(Exception):
            self.writer.close()


class HttpClient:
    """Keeps a few connections per origin. Addresses were checked by the caller."""

    def __init__(self, *, timeout: float) -> None:
        self._timeout = timeout
        self._kept: dict[Origin, list[_Line]] = defaultdict(list)
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._tls: ssl.SSLContext | None = None

    async def request(
        self, method: str, url: str, headers: list[tuple[str, str]], content: bytes, most: int
    ) -> tuple[int, bytes]:
        """Status and body. Raises HttpFailed, AnswerTooLong."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        origin = (parts.scheme, parts.hostname or "", parts.port or (443 if secure else 80))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = h11.Request(
            method=method, target=target, headers=[("host", parts.netloc.rsplit("@", 1)[-1]), *headers]
        )
        async with self._gate:
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._exchange(origin, request, content, most)
            except (OSError, TimeoutError, h11.ProtocolError, EOFError) as error:
                raise HttpFailed from error

    async def close(self) -> None:
        """Close kept connections."""
        for lines in self._kept.values():
            for line in lines:
                line.close()
        self._kept.clear()

    async def _exchange(
        self, origin: Origin, request: h11.Request, content: bytes, most: int
    ) -> tuple[int, bytes]:
        line = self._take(origin)
        if line is not None:
            try:
                return await self._over(line, origin, request, content, most)
            except (ConnectionError, EOFError):
                pass  # it was closed while it was kept
        return await self._over(await self._connect(origin), origin, request, content, most)

    async def _over(
        self, line: _Line, origin: Origin, request: h11.Request, content: bytes, most: int
    ) -> tuple[int, bytes]:
        done = False
        try:
            pieces = [line.state.send(request)]
            if content:
                pieces.append(line.state.send(h11.Data(data=content)))
            pieces.append(line.state.send(h11.EndOfMessage()))
            line.writer.write(b"".join(piece for piece in pieces if piece))
            await line.writer.drain()
            answer = await _read(line, most)
            done = line.state.our_state is h11.DONE and line.state.their_state is h11.DONE
            return answer
        finally:
            if done:
                self._keep(origin, line)
            else:
                line.close()

    async def _connect(self, origin: Origin) -> _Line:
        scheme, host, port = origin
        if scheme == "https" and self._tls is None:
            self._tls = ssl.create_default_context()
        reader, writer = await asyncio.open_connection(
            host, port, ssl=self._tls if scheme == "https" else None
        )
        return _Line(reader=reader, writer=writer, state=h11.Connection(h11.CLIENT))

    def _take(self, origin: Origin) -> _Line | None:
        while self._kept[origin]:
            line = self._kept[origin].pop()
            if time.monotonic() - line.idle_since < KEPT_SECONDS and not line.reader.at_eof():
                return line
            line.close()
        return None

    def _keep(self, origin: Origin, line: _Line) -> None:
        if len(self._kept[origin]) >= KEPT_PER_ORIGIN:
            line.close()
            return
        line.state.start_next_cycle()
        line.idle_since = time.monotonic()
        self._kept[origin].append(line)


async def _read(line: _Line, most: int) -> tuple[int, bytes]:
    status, body = 0, bytearray()
    while True:
        event = line.state.next_event()
        if event is h11.NEED_DATA:
            data = await line.reader.read(CHUNK)
            if not data and not status:
                raise EOFError
            line.state.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > most:
                raise AnswerTooLong
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(body)
        elif isinstance(event, h11.ConnectionClosed):
            raise EOFError
