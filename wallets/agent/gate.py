"""How much of one kind a server may ask of this wallet, and how much of it the journal keeps. Sans-IO; lives with the agent.

Token buckets: `burst` at once, then one more every `seconds`. What is over the limit is answered with “later” without looking at
the store, so a flood costs this machine little, and the journal notes that it happened, once in a while, with a count.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Rate:
    """`burst` at once, then one every `seconds`."""

    burst: int
    seconds: float


RATES = {
    "invite": Rate(burst=60, seconds=1),
    "job": Rate(burst=30, seconds=10),
    "mail": Rate(burst=60, seconds=5),
    "enrolled": Rate(burst=30, seconds=10),
    "journal": Rate(burst=12, seconds=60),
}
MOST_KEYS = 4096


@dataclass(kw_only=True)
class _Bucket:
    left: float
    at: int
    suppressed: int = 0


class Gate:
    """One agent's buckets, one per kind and per whatever `who` names (a subscription key, a code)."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def admits(self, kind: str, who: str, now: int) -> bool:
        """Whether one more of this kind may pass now. A clock that was set back does not refill anything."""
        rate = RATES[kind]
        bucket = self._buckets.get((kind, who))
        if bucket is None:
            self._make_room()
            bucket = self._buckets[(kind, who)] = _Bucket(left=float(rate.burst), at=now)
        bucket.left = min(float(rate.burst), bucket.left + max(0, now - bucket.at) / rate.seconds)
        bucket.at = now
        if bucket.left < 1:
            bucket.suppressed += 1
            return False
        bucket.left -= 1
        return True

    def suppressed(self, kind: str, who: str) -> int:
        """How many did not pass since this was last asked."""
        bucket = self._buckets.get((kind, who))
        if bucket is None:
            return 0
        count, bucket.suppressed = bucket.suppressed, 0
        return count

    def _make_room(self) -> None:
        """A server may invent names without end: the oldest are forgotten."""
        while len(self._buckets) >= MOST_KEYS:
            del self._buckets[next(iter(self._buckets))]
