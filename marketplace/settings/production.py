"""One site for people: PostgreSQL per trust domain, Redis or Valkey, TLS, an EVM endpoint.

Every value comes from the environment or from a mounted file and a missing one stops the start. A process may
hold one role only (`CSSI_ROLES=aggregator`): it then needs only that role's database and keys.
"""

from __future__ import annotations

import environ

from marketplace.keys import SEAL, load_public
from marketplace.settings.base import *
from marketplace.trust import DATABASE_ALIAS, TrustDomain

env = environ.FileAwareEnv()

DEBUG = False
DEVELOPMENT = False
SECRET_KEY = env.str("DJANGO_SECRET_KEY")
ALLOWED_HOSTS = env.list("CSSI_HOSTS")
SITE_URL = env.str("CSSI_SITE_URL")
CSRF_TRUSTED_ORIGINS = [SITE_URL]
ROLES = tuple(env.list("CSSI_ROLES", default=["web", "distributor", "aggregator"]))

_ROLE_DOMAIN = {
    "web": TrustDomain.MARKET,
    "distributor": TrustDomain.DISTRIBUTOR,
    "aggregator": TrustDomain.AGGREGATOR,
    "issuer": TrustDomain.ISSUER,
}
DATABASES = {
    DATABASE_ALIAS[_ROLE_DOMAIN[role]]: {
        **env.db_url(f"{_ROLE_DOMAIN[role].upper()}_DATABASE_URL"),
        "CONN_MAX_AGE": CONNECTION_SECONDS,
        "CONN_HEALTH_CHECKS": True,
    }
    for role in ROLES
}

REDIS_URL = env.str("REDIS_URL")
CELERY_BROKER_URL = REDIS_URL
CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
}
CACHES = {"default": {"BACKEND": "marketplace.cache.SharedRedisCache", "LOCATION": REDIS_URL}}

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True
SECURE_HSTS_SECONDS = 31536000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
STATIC_ROOT = env.path("CSSI_STATIC_ROOT", default=str(BASE_DIR / "staticfiles"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
EMAIL_CONFIG = env.email_url("EMAIL_URL")
globals().update(EMAIL_CONFIG)
DEFAULT_FROM_EMAIL = env.str("CSSI_FROM_EMAIL")

_keys = Path(env.str("CSSI_KEYS_DIR"))
PUBLIC_KEYS = load_public(_keys / "public.json")
SERVICE_KEYS = {role: key for role, key in PUBLIC_KEYS.items() if role != SEAL}
DISTRIBUTOR_KEY = SERVICE_KEYS["distributor"]
AGGREGATOR_KEY = SERVICE_KEYS["aggregator"]
AGGREGATOR_SEAL_PUBLIC_KEY = PUBLIC_KEYS[SEAL]
MARKET_KEY_FILE = _keys / "market.key"
COLLECTIVES_KEY_FILE = _keys / "collectives.key"
COLLECTIVE_SEAL_KEY_FILE = _keys / "collective-seal.key"
DISTRIBUTOR_KEY_FILE = _keys / "distributor.key"
AGGREGATOR_KEY_FILE = _keys / "aggregator.key"
AGGREGATOR_SEAL_KEY_FILE = _keys / "aggregator-seal.key"
DISTRIBUTOR_URL = env.str("DISTRIBUTOR_URL", default=SITE_URL)
AGGREGATOR_URL = env.str("AGGREGATOR_URL", default=SITE_URL)
ISSUER_SEAL_KEY_FILE = _keys / "issuer-seal.key"
ISSUER_URL = env.str("ISSUER_URL", default=SITE_URL + "/issuer")
AGGREGATOR_SPOOL_DIR = Path(env.str("AGGREGATOR_SPOOL_DIR", default="/var/lib/cssi/spool"))

CHAIN_ID = env.int("CHAIN_ID")
CHAIN_RPC_URL = env.str("CHAIN_RPC_URL")
CHAIN_KEYS_DIR = Path(env.str("CHAIN_KEYS_DIR", default=str(_keys / "chain")))
CHAIN_CONFIRMATIONS = env.int("CHAIN_CONFIRMATIONS", default=12)

CELERY_BEAT_SCHEDULE = CELERY_BEAT_SCHEDULE | {
    "epoch": {"task": "settlement.run_epoch", "schedule": float(EPOCH_SECONDS)},
}
