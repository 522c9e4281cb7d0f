"""The shared cache, with one client and one pool of connections per process.

Django keeps a cache object, and with it a pool, per asynchronous context: under ASGI every request would open a connection to
the broker and leave it to the garbage collector. And it makes a client for every call, which costs twice what the call does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient


class _Client(RedisCacheClient):
    """As Django's, but what speaks to a server is made once: it keeps no state of a call, and threads may share it."""

    def __init__(self, servers: list[str]) -> None:
        super().__init__(servers)
        self._made: dict[int, Any] = {}

    def get_client(self, key: str | None = None, *, write: bool = False) -> Any:
        pool = self._get_connection_pool(write)
        found = self._made.get(id(pool))
        if found is None:
            found = self._made[id(pool)] = self._client(connection_pool=pool)
        return found

    def count(self, key: str, seconds: int) -> int:
        """See `count`. Both commands leave together, so a counter that nobody ends cannot stay behind."""
        both = self.get_client(key, write=True).pipeline(transaction=False)
        return int(both.incr(key).expire(key, seconds).execute()[0])


@lru_cache(maxsize=8)
def _client(servers: tuple[str, ...]) -> _Client:
    return _Client(list(servers))


class SharedRedisCache(RedisCache):
    """As Django's; takes no OPTIONS, because those would make pools differ."""

    def __init__(self, server: str | list[str], params: dict[str, Any]) -> None:
        super().__init__(server, params)
        if self._options:
            raise ValueError("SharedRedisCache takes no OPTIONS; put them into the address.")

    @property
    def _cache(self) -> _Client:
        return _client(tuple(self._servers))

    def count(self, key: str, seconds: int) -> int:
        """See `count`."""
        return self._cache.count(self.make_and_validate_key(key), seconds)


def count(cache: BaseCache, key: str, seconds: int) -> int:
    """How often this was called with `key`, this time included. The count lasts at least `seconds`; one exchange with the broker."""
    if own := getattr(cache, "count", None):
        return int(own(key, seconds))
    try:
        return cache.incr(key)
    except ValueError:  # the first, or two firsts at once
        return 1 if cache.add(key, 1, seconds) else cache.incr(key)
