"""What runs beside the requests in the aggregator's process: its hub."""

from __future__ import annotations

from aggregation.server import hub, selectors


async def start() -> None:
    selectors.long_polls.clear()
    hub.current()


async def stop() -> None:
    selectors.long_polls.set()
    await hub.close()
