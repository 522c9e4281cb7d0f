"""The shared cache, with one pool of connections per process.

Django keeps a cache object, and with it a pool, per asynchronous context: under ASGI every request would open a connection to
the broker and leave it to the garbage collector.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.core.cache.backends.redis import RedisCache, RedisCacheClient


@lru_cache(maxsize=8)
def _client(servers: tuple[str, ...]) -> RedisCacheClient:
    return RedisCacheClient(list(servers))


class SharedRedisCache(RedisCache):
    """As Django's; takes no OPTIONS, because those would make pools differ."""

    def __init__(self, server: str | list[str], params: dict[str, Any]) -> None:
        super().__init__(server, params)
        if self._options:
            raise ValueError("SharedRedisCache takes no OPTIONS; put them into the address.")

    @property
    def _cache(self) -> RedisCacheClient:
        return _client(tuple(self._servers))
