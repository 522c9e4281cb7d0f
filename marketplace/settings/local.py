"""Everything on one machine: the embedded default of `make run` and `make demo`.

State lies in one folder (`CSSI_VAR`, default `var/`): a SQLite file per trust domain, key files, spool, chain.
`manage.py serve` starts the broker on a socket named after that folder, so any `manage.py` command finds it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile

import environ

from marketplace.keys import SEAL, ensure_keys, load_public, read_key
from marketplace.settings.base import *

env = environ.Env()

VAR_DIR = Path(env.str("CSSI_VAR", default=str(BASE_DIR / "var"))).resolve()
VAR_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
KEYS_DIR = VAR_DIR / "keys"
ensure_keys(KEYS_DIR)

DEBUG = env.bool("CSSI_DEBUG", default=False)
SECRET_KEY = read_key(KEYS_DIR / "django.key").hex()
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
PORT = env.int("CSSI_PORT", default=8000)
SITE_URL = f"http://127.0.0.1:{PORT}"
CSRF_TRUSTED_ORIGINS = [SITE_URL, f"http://localhost:{PORT}"]
DEVELOPMENT = True

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

# Letters go to files: what a supervised worker prints lands in its log, and no address may stand there.
# `CSSI_MAIL=console` prints them instead, for a command started by hand.
EMAIL_BACKEND = {
    "files": "django.core.mail.backends.filebased.EmailBackend",
    "console": "django.core.mail.backends.console.EmailBackend",
}[env.str("CSSI_MAIL", default="files")]
EMAIL_FILE_PATH = VAR_DIR / "mail"
DEFAULT_FROM_EMAIL = "Compute-to-SSI <no-reply@localhost>"
ACCOUNT_EMAIL_VERIFICATION = "optional"
# A passkey needs a name, not a number: on this machine it works at http://localhost.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True

STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# On this machine all wallets share one address; on a site each has its own.
REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] = {"agents": "60000/min", "people": "6000/min"}

# --- roles, their keys and where they listen --------------------------------------------------------------
ROLES = ("web", "distributor", "aggregator", "issuer")
PUBLIC_KEYS = load_public(KEYS_DIR / "public.json")
SERVICE_KEYS = {role: key for role, key in PUBLIC_KEYS.items() if role != SEAL}
DISTRIBUTOR_KEY = SERVICE_KEYS["distributor"]
AGGREGATOR_KEY = SERVICE_KEYS["aggregator"]
AGGREGATOR_SEAL_PUBLIC_KEY = PUBLIC_KEYS[SEAL]
MARKET_KEY_FILE = KEYS_DIR / "market.key"
COLLECTIVES_KEY_FILE = KEYS_DIR / "collectives.key"
COLLECTIVE_SEAL_KEY_FILE = KEYS_DIR / "collective-seal.key"
DISTRIBUTOR_KEY_FILE = KEYS_DIR / "distributor.key"
AGGREGATOR_KEY_FILE = KEYS_DIR / "aggregator.key"
AGGREGATOR_SEAL_KEY_FILE = KEYS_DIR / "aggregator-seal.key"
DISTRIBUTOR_URL = env.str("DISTRIBUTOR_URL", default=SITE_URL)
AGGREGATOR_URL = env.str("AGGREGATOR_URL", default=SITE_URL)
ISSUER_SEAL_KEY_FILE = KEYS_DIR / "issuer-seal.key"
ISSUER_URL = SITE_URL + "/issuer"
AGGREGATOR_SPOOL_DIR = VAR_DIR / "spool"

# --- chain ------------------------------------------------------------------------------------------------
CHAIN_ID = 1337
CHAIN_PORT = env.int("CSSI_CHAIN_PORT", default=8545)
CHAIN_RPC_URL = env.str("CHAIN_RPC_URL", default=f"http://127.0.0.1:{CHAIN_PORT}")
CHAIN_KEYS_DIR = KEYS_DIR / "chain"
CHAIN_CONFIRMATIONS = 1
CHAIN_DATA_DIR = VAR_DIR / "chain"
EPOCH_MIN_COLLECTIVES = 1
EPOCH_MIN_RECIPIENTS = 1
LOT = None
EPOCH_ON_JOB_END = True

NOTICE_MIN_SECONDS = env.int("CSSI_NOTICE_SECONDS", default=20)
DEVELOPMENT_MINIMA = env.bool("CSSI_DEVELOPMENT_MINIMA", default=False)
LOG_DIR = VAR_DIR / "logs"
os.environ.setdefault("OMP_NUM_THREADS", "1")
