"""The settings of the test run, with PostgreSQL for every domain, and Redis for the channel layer and the cache."""

# ruff: noqa: F403, F405
from __future__ import annotations

import os

import environ

from marketplace.settings.test import *

_server = environ.Env.db_url_config(os.environ["CSSI_TEST_POSTGRES"])
_redis = os.environ["CSSI_TEST_REDIS"]
_worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
DATABASES = {
    alias: {
        **_server,
        "NAME": f"{alias}_{_worker}",
        "CONN_MAX_AGE": CONNECTION_SECONDS,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": roles.postgres_options(alias),
        # No domain waits for another: a test may ask for one database alone.
        "TEST": {"NAME": f"test_{alias}_{_worker}", "DEPENDENCIES": []},
    }
    for alias in DATABASES
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [_redis], "prefix": f"asgi-{_worker}"},
    }
}
CACHES = {
    "default": {
        "BACKEND": "marketplace.cache.SharedRedisCache",
        "LOCATION": _redis,
        "KEY_PREFIX": _worker,
    }
}
