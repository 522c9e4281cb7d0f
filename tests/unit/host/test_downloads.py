"""What wallets of one host fetch together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from wallets.agent.errors import Unreachable
from wallets.agent.transport import Answer, Transport
from wallets.host.downloads import KEPT, SharedDownloads

PAYLOAD = "http://127.0.0.1:1/wallets/payload/{}?token=t"


class Server:
    """Counts what is asked; answers after a moment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.status, self.fails = 200, False
        server = self

        async def request(self: Transport, method: str, url: str, **_: Any) -> Answer:
            server.asked.append(f"{method} {url}")
            await asyncio.sleep(0.01)
            if server.fails:
                raise Unreachable("nobody there")
            return Answer(status=server.status, body=url.encode())

        monkeypatch.setattr(Transport, "request", request)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(monkeypatch)


async def test_a_payload_is_fetched_once_and_anything_else_every_time(server: Server) -> None:
    shared = SharedDownloads()
    url = PAYLOAD.format("ab")
    answers = await asyncio.gather(*(shared.request("GET", url) for _ in range(5)))
    assert {answer.body for answer in answers} == {url.encode()}
    assert server.asked == [f"GET {url}"]
    for _ in range(2):
        await shared.request("GET", "http://127.0.0.1:1/api/v1/server")
        await shared.request("PUT", url, content=b"x")
    assert len(server.asked) == 5


async def test_a_failed_download_is_asked_again_and_a_cancelled_wallet_takes_nobody_along(
    server: Server,
) -> None:
    shared, url = SharedDownloads(), PAYLOAD.format("ab")
    server.fails = True
    with pytest.raises(Unreachable):
        await shared.request("GET", url)
    server.fails, server.status = False, 404
    assert (await shared.request("GET", url)).status == 404
    server.status = 200
    leaver, stayer = (asyncio.ensure_future(shared.request("GET", url)) for _ in range(2))
    await asyncio.sleep(0)
    leaver.cancel()
    assert (await stayer).status == 200
    assert len(server.asked) == 3


async def test_old_rounds_are_forgotten(server: Server) -> None:
    shared = SharedDownloads()
    for number in range(KEPT + 1):
        await shared.request("GET", PAYLOAD.format(number))
    await shared.request("GET", PAYLOAD.format(KEPT))
    await shared.request("GET", PAYLOAD.format(0))
    assert len(server.asked) == KEPT + 2
