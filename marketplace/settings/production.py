"""One site for people: PostgreSQL per trust domain, Redis or Valkey, TLS, an EVM endpoint.

Every value comes from the environment, or from a mounted file named by the same variable with `_FILE` behind it; a missing one
stops the start. A process holds the roles named in `CSSI_ROLES` and needs only their databases and keys: nothing of another
role is asked for, loaded or reachable. docs/operations.md lists the variables.
"""

from __future__ import annotations

from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from marketplace.keys import settings_of as key_settings
from marketplace.logs import exception_without_values
from marketplace.settings import roles as of_roles
from marketplace.settings import social
from marketplace.settings.base import *
from marketplace.trust import DATABASE_ALIAS, TrustDomain

env = environ.FileAwareEnv()

DEBUG = False
DEVELOPMENT = False
ROLES = tuple(env.list("CSSI_ROLES"))
if not ROLES or set(ROLES) - set(of_roles.ALL):
    raise ImproperlyConfigured(
        f"CSSI_ROLES is a list of {', '.join(of_roles.ALL)}; it says {', '.join(ROLES)!r}."
    )
PEOPLE = "web" in ROLES
INSTALLED_APPS = of_roles.apps(ROLES, INSTALLED_APPS)
MIDDLEWARE = of_roles.middleware(ROLES, MIDDLEWARE)
if not PEOPLE:
    TEMPLATES: list[dict[str, Any]] = []
    AUTH_USER_MODEL = "auth.User"  # never loaded: nobody signs in here
    AUTHENTICATION_BACKENDS: list[str] = []
    # No page, no session, no cookie that another site's form could make use of: requests are signed.
    SILENCED_SYSTEM_CHECKS = ["security.W003"]
else:
    globals().update(social.of(env, INSTALLED_APPS, CONTENT_SECURITY_POLICY))

SECRET_KEY = env.str("DJANGO_SECRET_KEY")
ALLOWED_HOSTS = env.list("CSSI_HOSTS")
SITE_URL = env.str("CSSI_SITE_URL")
CSRF_TRUSTED_ORIGINS = [SITE_URL]

# --- databases: those of the roles held, no other --------------------------------------------------------
_ROLE_DOMAIN = {
    "web": TrustDomain.MARKET,
    "distributor": TrustDomain.DISTRIBUTOR,
    "aggregator": TrustDomain.AGGREGATOR,
    "issuer": TrustDomain.ISSUER,
}


def _database(role: str) -> dict[str, Any]:
    name = f"{_ROLE_DOMAIN[role].upper()}_DATABASE_URL"
    found = env.db_url(name)
    if found["ENGINE"] != "django.db.backends.postgresql":
        raise ImproperlyConfigured(
            f"{name} must name a PostgreSQL database: postgres://user:password@host/name"
        )
    options = of_roles.postgres_options(role) | found.pop("OPTIONS", {})
    return {**found, "CONN_MAX_AGE": CONNECTION_SECONDS, "CONN_HEALTH_CHECKS": True, "OPTIONS": options}


# Django insists on an entry of this name; without the web role it leads nowhere.
DATABASES: dict[str, dict[str, Any]] = {"default": {}}
DATABASES |= {DATABASE_ALIAS[_ROLE_DOMAIN[role]]: _database(role) for role in ROLES}

# --- sockets and background work --------------------------------------------------------------------------
# Each role has a server, or a user and a prefix, of its own: what one sends another must not read.
REDIS_URL = env.str("REDIS_URL")
REDIS_PREFIX = env.str("CSSI_REDIS_PREFIX", default="cssi")
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS |= {"global_keyprefix": f"{REDIS_PREFIX}:celery:"}
# Nobody commands workers over the broker, and its channels for that would be common to all roles.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_TASK_QUEUES = of_roles.celery_queues(ROLES)
CELERY_TASK_DEFAULT_QUEUE = next(iter(of_roles.queues(ROLES)), "rounds")
CELERY_BEAT_SCHEDULE = of_roles.schedule(
    ROLES,
    CELERY_BEAT_SCHEDULE | {"epoch": {"task": "settlement.run_epoch", "schedule": float(EPOCH_SECONDS)}},
)
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": f"{REDIS_PREFIX}:asgi"},
    }
}
CACHES = {
    "default": {
        "BACKEND": "marketplace.cache.SharedRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": f"{REDIS_PREFIX}:cache",
    }
}

# --- what a browser is told -------------------------------------------------------------------------------
# The proxy ends TLS and replaces these headers (deploy/proxy/); uvicorn believes only the proxy's address.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
REST_FRAMEWORK["NUM_PROXIES"] = 0
SECURE_SSL_REDIRECT = True
# A signed call that came in the clear was sent in the clear: to redirect it would only break it where roles share a private network.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$", r"^internal/"]
SECURE_HSTS_SECONDS = 31536000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
LANGUAGE_COOKIE_SECURE = True
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
STATIC_ROOT = env.path("CSSI_STATIC_ROOT", default=str(BASE_DIR / "staticfiles"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
if PEOPLE:
    globals().update(env.email_url("EMAIL_URL"))
    DEFAULT_FROM_EMAIL = env.str("CSSI_FROM_EMAIL")

# --- keys: the folder holds this process's own, and everybody's public halves ----------------------------
KEYS_DIR = Path(env.str("CSSI_KEYS_DIR"))
globals().update(key_settings(KEYS_DIR))
DISTRIBUTOR_URL = env.str("DISTRIBUTOR_URL", default=SITE_URL)
AGGREGATOR_URL = env.str("AGGREGATOR_URL", default=SITE_URL)
ISSUER_URL = env.str("ISSUER_URL", default=SITE_URL + "/issuer")
AGGREGATOR_SPOOL_DIR = Path(env.str("AGGREGATOR_SPOOL_DIR", default="/var/lib/cssi/spool"))

# --- chain ------------------------------------------------------------------------------------------------
if PEOPLE:
    CHAIN_ID = env.int("CHAIN_ID")
    CHAIN_RPC_URL = env.str("CHAIN_RPC_URL")
    CHAIN_KEYS_DIR = Path(env.str("CHAIN_KEYS_DIR", default=str(KEYS_DIR / "chain")))
    CHAIN_CONFIRMATIONS = env.int("CHAIN_CONFIRMATIONS", default=12)
    CHAIN_CONFIRM_RPC_URL = env.str("CHAIN_CONFIRM_RPC_URL", default="")
    CHAIN_MAX_FEE = env.int("CHAIN_MAX_FEE", default=200 * 10**9)
    CHAIN_LOW_BALANCE = env.int("CHAIN_LOW_BALANCE", default=5 * 10**16)
    CHAIN_KEYSTORE_PASSWORD_FILE = env.str("CHAIN_KEYSTORE_PASSWORD_FILE", default="")
    CHAIN_SIGNER = env.str("CHAIN_SIGNER", default="")
    TOKEN_ADDRESS = env.str("TOKEN_ADDRESS", default="")
    ORDER_FEE = env.int("ORDER_FEE", default=0)
    MODEL_SHARE_PPM = env.int("MODEL_SHARE_PPM", default=800_000)

# --- logs: one JSON object a line, from Django, Celery and our own events alike ---------------------------
_common = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso"),
    exception_without_values,
]
structlog.configure(
    processors=[*_common, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING["formatters"]["line"] = {
    "()": structlog.stdlib.ProcessorFormatter,
    "foreign_pre_chain": _common,
    "processors": [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.JSONRenderer(),
    ],
}
# It would name the address behind every socket.
LOGGING["loggers"]["uvicorn.error"] = {"level": "WARNING"}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
