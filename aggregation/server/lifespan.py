"""What runs beside the requests in the aggregator's process: its hub."""

from __future__ import annotations

from aggregation.server import hub, memory, selectors


async def start() -> None:
    memory.map_vectors()
    selectors.stopping.clear()
    hub.current()


async def stop() -> None:
    selectors.stopping.set()
    selectors.changed.set()
    await hub.close()
