"""Repeat an idempotent call while nobody answers, with growing, jittered pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from wallets.agent.errors import Unreachable

T = TypeVar("T")


async def patiently(
    attempt: Callable[[], Awaitable[T]],
    *,
    rng: Callable[[int], bytes],
    shortest: float = 0.2,
    longest: float = 5.0,
    attempts: int | None = None,
) -> T:
    """The answer of `attempt`; Unreachable after `attempts` (None: the caller's own deadline ends the patience)."""
    wait, tried = shortest, 0
    while True:
        try:
            return await attempt()
        except Unreachable:
            tried += 1
            if attempts is not None and tried >= attempts:
                raise
        # Half of the pause is random, so that a thousand wallets do not come back in the same instant.
        await asyncio.sleep(wait / 2 + wait / 2 * int.from_bytes(rng(2), "big") / 65_536)
        wait = min(longest, wait * 2)
