"""An agent that is stopped stops, whatever its line to the server is doing at that moment."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from wallets.agent.errors import Unreachable
from wallets.agent.session import DistributorSession


class SlowToClose:
    """A line whose other side does not say goodbye."""

    def __init__(self) -> None:
        self.closing = asyncio.Event()

    async def close(self) -> None:
        self.closing.set()
        await asyncio.sleep(60)


async def test_stopped_while_a_cut_line_is_being_closed() -> None:
    async def keys() -> list[Any]:
        return [("mailbox", None)]

    agent: Any = SimpleNamespace(wire_keys=keys, event=lambda *_, **__: None, rng=bytes)
    session, line = DistributorSession(agent), SlowToClose()

    async def cut() -> None:
        session._socket = line  # type: ignore[assignment]
        raise Unreachable("The connection was cut.", code="cut")

    session._connect = cut  # type: ignore[method-assign]
    running = asyncio.create_task(session.run())
    async with asyncio.timeout(5):
        await line.closing.wait()
        running.cancel()
        await asyncio.wait([running])
    assert running.cancelled()
