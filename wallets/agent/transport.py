"""The only door to the network (with `http_client` behind it): clients that refuse plain text beyond this machine.

Nothing here knows a message; `session` and `rounds` speak through it. No proxy or environment setting is honoured, so
that nobody who can set a variable can look in; redirects are not followed, because a pinned server does not move.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from aggregation.wire import cbor
from aggregation.wire.errors import WireError
from wallets.agent import plain_json
from wallets.agent.errors import InsecureTransport, ProtocolFault, ServerRefused, Unreachable
from wallets.agent.http_client import AnswerTooLong, HttpClient, HttpFailed

SECURE = {"https", "wss"}
PLAIN = {"http", "ws"}
FRAME_BYTES = 64 * 1024
ROUND_FRAME_BYTES = 1024 * 1024
JSON_BYTES = 1024 * 1024
TIMEOUT_SECONDS = 20.0
TOO_MANY_REQUESTS = 429
CLOSE_TOO_BIG = 1009


def check_url(url: str) -> str:
    """The url itself, or InsecureTransport unless it is encrypted or stays on this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme in SECURE and host:
        return url
    if parts.scheme in PLAIN and is_loopback(host):
        return url
    raise InsecureTransport(
        f"The address {parts.scheme}://{host} is not encrypted. Use https or wss; plain addresses work on this machine only."
    )


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine by definition (no name is looked up)."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer, whole."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Body as JSON; ProtocolFault when it is not."""
        try:
            return plain_json.loads(self.body)
        except ValueError:
            raise ProtocolFault(
                "The server's answer is not JSON. Try again later.", code="bad_answer"
            ) from None


class Socket:
    """One websocket carrying CBOR maps with a `t`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send one map; Unreachable when the socket is gone."""
        try:
            await self._connection.send(cbor.encode(dict(message)))
        except ConnectionClosed:
            raise Unreachable("The connection was cut.", code="cut") from None

    async def receive(self) -> dict[str, Any]:
        """The next map; Unreachable when the socket is gone, ProtocolFault on anything else than a CBOR map."""
        try:
            frame = await self._connection.recv()
        except ConnectionClosed as closed:
            if closed.sent is not None and closed.sent.code == CLOSE_TOO_BIG:
                raise ProtocolFault(
                    "The server sent a larger frame than the protocol has.", code="huge_frame"
                ) from None
            raise Unreachable("The connection was cut.", code="cut") from None
        if isinstance(frame, str):
            raise ProtocolFault("The server sent text where the protocol has bytes.", code="bad_frame")
        try:
            message = cbor.decode(frame)
        except WireError:
            raise ProtocolFault("The server sent a malformed frame.", code="bad_frame") from None
        if not isinstance(message, dict) or not isinstance(message.get("t"), str):
            raise ProtocolFault("The server sent a frame without a type.", code="bad_frame")
        return message

    async def close(self) -> None:
        """Close politely, without waiting long for the other side."""
        with suppress(Exception):
            async with asyncio.timeout(2):
                await self._connection.close()

    def abort(self) -> None:
        """Drop the connection at once, as a pulled cable would."""
        self._connection.transport.abort()


class Transport:
    """Opens what the agent speaks over. One per process is enough; it keeps HTTP connections alive between calls."""

    def __init__(self, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout
        self._http: HttpClient | None = None

    async def websocket(self, url: str, *, max_frame: int = FRAME_BYTES) -> Socket:
        """Open a websocket; InsecureTransport, or Unreachable when nobody answers properly."""
        check_url(url)
        try:
            connection = await connect(
                url,
                max_size=max_frame,
                compression=None,
                ping_interval=None,
                open_timeout=self._timeout,
                close_timeout=2,
                proxy=None,
                user_agent_header=None,
            )
        except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
            raise Unreachable(f"No connection to {urlsplit(url).netloc}.") from error
        except InvalidURI:
            raise ProtocolFault(f"{url} is not a websocket address.", code="bad_address") from None
        return Socket(connection)

    async def request(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        json_body: Any = None,
        most: int = JSON_BYTES,
    ) -> Answer:
        """One HTTP exchange; Unreachable on network trouble, 429 and 5xx, ProtocolFault past `most` bytes."""
        check_url(url)
        headers = [("user-agent", "cssi-agent"), ("accept", "*/*")]
        if json_body is not None:
            content = json.dumps(json_body).encode()
            headers.append(("content-type", "application/json"))
        if content is not None:
            headers.append(("content-length", str(len(content))))
        place = urlsplit(url).netloc
        try:
            status, body = await self._client().request(method, url, headers, content or b"", most)
        except AnswerTooLong:
            raise ProtocolFault("The server sent more than it may.", code="too_long") from None
        except HttpFailed as error:
            raise Unreachable(f"No answer from {place}.") from error
        if status == TOO_MANY_REQUESTS:
            raise Unreachable(f"{place} asks this wallet to slow down.", code="busy")
        if status >= 500:
            raise Unreachable(f"{place} has a problem ({status}).")
        return Answer(status=status, body=body)

    async def call(self, method: str, url: str, json_body: Any = None) -> Any:
        """A JSON call; ServerRefused with the server's own code and sentence on 4xx."""
        answer = await self.request(method, url, json_body=json_body)
        if answer.status >= 400:
            raise _refusal(answer)
        if answer.status >= 300:
            raise ProtocolFault(
                "The server points elsewhere, and a pinned server does not move.", code="moved"
            )
        return answer.json() if answer.body else {}

    async def close(self) -> None:
        """Close kept-alive connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    def _client(self) -> HttpClient:
        if self._http is None:
            self._http = HttpClient(timeout=self._timeout)
        return self._http


def _refusal(answer: Answer) -> ServerRefused:
    try:
        body = plain_json.loads(answer.body)
        code, detail = str(body["code"]), str(body["detail"])
    except (ValueError, KeyError, TypeError):
        code, detail = "refused", f"The server refused ({answer.status})."
    return ServerRefused(detail, code=code, status=answer.status)
