"""Everything on one machine: the embedded default of `make run` and `make demo`.

State lies in one folder (`CSSI_VAR`, default `var/`): a SQLite file per trust domain, key files, spool, chain.
`manage.py serve` starts the broker on a socket named after that folder, so any `manage.py` command finds it.
"""

from __future__ import annotations

import hashlib
import tempfile

from marketplace.keys import ensure_keys, read_key
from marketplace.keys import settings_of as key_settings
from marketplace.settings import social
from marketplace.settings.one_machine import *

KEYS_DIR = VAR_DIR / "keys"
ensure_keys(KEYS_DIR)

DEBUG = env.bool("CSSI_DEBUG", default=False)
SECRET_KEY = read_key(KEYS_DIR / "django.key").hex()
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
CSRF_TRUSTED_ORIGINS = [SITE_URL, f"http://localhost:{PORT}"]

DATABASES = {
    alias: {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": VAR_DIR / f"{name}.sqlite3",
        "CONN_MAX_AGE": CONNECTION_SECONDS,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # secure_delete: an erased masked input or key share must not stay in free pages.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=ON;",
        },
    }
    for alias, name in (
        ("default", "market"),
        ("distributor", "distributor"),
        ("aggregator", "aggregator"),
        ("issuer", "issuer"),
    )
}

# A unix socket path holds at most 107 bytes, so it lies in the temporary folder under a name made from VAR_DIR.
SOCKET_DIR = Path(tempfile.gettempdir()) / f"cssi-{hashlib.sha256(str(VAR_DIR).encode()).hexdigest()[:12]}"
BROKER_SOCKET = SOCKET_DIR / "valkey.sock"
REDIS_URL = env.str("REDIS_URL", default="")
_redis = REDIS_URL or f"unix://{BROKER_SOCKET}"
CELERY_BROKER_URL = REDIS_URL or f"redis+socket://{BROKER_SOCKET}"
CHANNEL_LAYERS = {
    "default": {
        # Not RedisChannelLayer: with redis-py 8 its idle sockets die after five seconds.
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [_redis]},
    }
}
CACHES = {"default": {"BACKEND": "marketplace.cache.SharedRedisCache", "LOCATION": _redis}}

STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

globals().update(social.of(env, INSTALLED_APPS, CONTENT_SECURITY_POLICY))

# --- roles, their keys and where they listen --------------------------------------------------------------
ROLES = ("web", "distributor", "aggregator", "issuer")
globals().update(key_settings(KEYS_DIR))
DISTRIBUTOR_URL = env.str("DISTRIBUTOR_URL", default=SITE_URL)
AGGREGATOR_URL = env.str("AGGREGATOR_URL", default=SITE_URL)
ISSUER_URL = SITE_URL + "/issuer"
AGGREGATOR_SPOOL_DIR = VAR_DIR / "spool"
CHAIN_KEYS_DIR = KEYS_DIR / "chain"
