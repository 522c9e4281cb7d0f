"""What runs beside the requests in the distributor's process: its hub and its poller."""

from __future__ import annotations

from wallets.distributor import hub
from wallets.distributor.poller import Poller

_poller: Poller | None = None


async def start() -> None:
    global _poller
    hub.current()
    if _poller is None:
        _poller = Poller()
        _poller.start()


async def stop() -> None:
    global _poller
    poller, _poller = _poller, None
    if poller is not None:
        await poller.stop()
    await hub.close()
