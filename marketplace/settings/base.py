"""Settings shared by every way of running the platform.

Nothing here is secret and nothing here guesses: what must differ between a laptop and a production site is read
from the environment by `local.py` or `production.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

import structlog
from csp.constants import NONE, SELF

from marketplace.settings import roles

# The development chain hashes all the time, and this backend is written in C; it must be named before anything hashes.
os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")

BASE_DIR = Path(__file__).resolve().parent.parent.parent

# Requests run in threads that stay (marketplace/handlers.py), so their connections may stay as well.
CONNECTION_SECONDS = 60

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "csp",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "django_filters",
    "marketplace.apps.MarketplaceConfig",
    "marketplace.accounts",
    "marketplace.catalogue",
    "marketplace.individuals",
    "marketplace.jobs",
    "marketplace.settlement",
    "marketplace.devchain",
    "marketplace.demo",
    "collectives",
    "wallets.distributor",
    "aggregation.server",
    "attestation.desk",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "marketplace.urls"
ASGI_APPLICATION = "marketplace.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
                "marketplace.context.site",
            ],
        },
    },
]

# --- accounts ---------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.Account"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_ADAPTER = "marketplace.accounts.adapter.AccountAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Compute-to-SSI"
MFA_TOTP_TOLERANCE = 1
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "10/m/ip,5/5m/key",
    "signup": "20/m/ip",
    "reset_password": "20/m/ip,5/m/key",
    "confirm_email": "1/3m/key",
    "reauthenticate": "10/m/user",
    "change_password": "5/m/user",
    "manage_email": "10/m/user",
}
LOGIN_REDIRECT_URL = "home"
LOGIN_URL = "account_login"

# --- databases --------------------------------------------------------------------------------------------
DATABASE_ROUTERS = ["marketplace.db_router.TrustDomainRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- language and time ------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
FORMAT_MODULE_PATH = ["marketplace.formats"]
LOCALE_PATHS = [BASE_DIR / "templates" / "locale"]

# --- static files -----------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]

# --- what a browser may load: only from here, nothing inline ---------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    },
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True  # forms carry the token; no script reads the cookie
CSRF_FAILURE_VIEW = "marketplace.catalogue.errors.csrf_failure"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- REST -------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["marketplace.parsers.BoundedJSONParser"],
    # The first one names the scheme in a 401; pages of this site use the second.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "marketplace.accounts.tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["marketplace.throttles.ApiThrottle"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "marketplace.schema.NamedSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.CursorPagination",
    "PAGE_SIZE": 50,
    "EXCEPTION_HANDLER": "marketplace.problems.problem_json",
    "DEFAULT_THROTTLE_RATES": {"agents": "600/min", "people": "240/min"},
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Compute-to-SSI",
    "DESCRIPTION": "Learn from data in personal wallets without taking it out.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {
        "JobStatus": "collectives.models.Job.Status",
        "RoundStatus": "collectives.models.Round.Status",
        "AdmissionStatus": "collectives.models.Admission.Status",
        "AlgorithmStatus": "collectives.models.Algorithm.Status",
        "OfferStatus": "marketplace.settlement.models.ModelOffer.Status",
        "PurchaseStatus": "marketplace.settlement.models.ModelPurchase.Status",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "marketplace.schema.with_problems",
    ],
}

# --- sockets and background work --------------------------------------------------------------------------
WEBSOCKET_MAX_FRAME = 64 * 1024
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# A worker asks for a task when one of its processes is free, and no count of unacknowledged tasks holds it back (0): kombu keeps counting a
# task whose acknowledgement a dying broker did not take, and a worker whose count is full never looks at its connection again.
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 0
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A task is handed out the moment it comes, however long a worker waits for it; an interval below a second only asks more often.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600, "polling_interval": 1.0}
CELERY_TIMEZONE = "UTC"
# A worker that is not told its queues takes them all, as the embedded one does.
CELERY_TASK_QUEUES = roles.celery_queues(roles.ALL)
CELERY_TASK_ROUTES = {pattern: {"queue": queue} for pattern, queue in roles.ROUTES}
CELERY_TASK_DEFAULT_QUEUE = "rounds"
# The database is the truth and these are the safety net: each finds what a lost wake-up left behind. A message costs more than a look at
# the database, so a sweep also looks, with one statement, whether its domain's slower tasks have anything to do, and sends them only then.
CELERY_BEAT_SCHEDULE = {
    "distributor": {"task": "distributor.sweep", "schedule": 2.0, "options": {"expires": 2}},
    "aggregator": {"task": "aggregator.sweep", "schedule": 2.0, "options": {"expires": 2}},
    "collectives": {"task": "collectives.sweep", "schedule": 2.0, "options": {"expires": 2}},
    "deliveries": {"task": "collectives.count_deliveries", "schedule": 10.0, "options": {"expires": 10}},
    "individuals": {"task": "individuals.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "erasures": {"task": "accounts.finish_erasures", "schedule": 60.0, "options": {"expires": 60}},
    "offers": {"task": "issuer.sweep", "schedule": 600.0, "options": {"expires": 600}},
    "jobs": {"task": "jobs.sweep", "schedule": 2.0, "options": {"expires": 2}},
    "money": {"task": "settlement.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "reconcile": {"task": "settlement.reconcile", "schedule": 600.0, "options": {"expires": 300}},
}

# --- money ------------------------------------------------------------------------------------------------
TOKEN_SYMBOL = "OCEAN"
EPOCH_SECONDS = 24 * 3600
EPOCH_MIN_COLLECTIVES = 3
EPOCH_MIN_RECIPIENTS = 100
LOT = 5 * 10**16
"""Fixed payout lot in base units. None = the lot equals the rate (development only; reports say so)."""

EPOCH_ON_JOB_END = False
"""Close an epoch as soon as a job ends (development only: it tells observers which payments belong to the job)."""


def REGISTRY_ADDRESS() -> str:  # noqa: N802 - a setting that is asked, because contracts are deployed after settings load
    """Where subscription agreements are registered; the collectives write it into their terms."""
    from marketplace.settlement.selectors import registry_address

    return registry_address()


# --- minima and notice ------------------------------------------------------------------------------------
NOTICE_MIN_SECONDS = 14 * 24 * 3600
DEVELOPMENT_MINIMA = False
"""True lets a collective go below release_min 100 and bucket_min 20; its pages and reports then say so."""
SUBSCRIBERS_PER_COHORT = 3
"""A job starts only with this many times its minimum cohort subscribed."""

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.JSONRenderer(),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {
        "refusals": {"()": "marketplace.logs.ExpectedRefusals"},
        "values": {"()": "marketplace.logs.WithoutValues"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["refusals", "values"],
        }
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        name: {"level": "WARNING"}
        for name in (
            # Access lines and client libraries would put tokens and addresses into the log.
            *("httpx", "httpcore", "uvicorn.access", "web3", "websockets"),
            # The sweeps run every second or two; a line for each would bury everything else.
            *("celery.app.trace", "celery.worker.strategy", "celery.beat"),
        )
    },
}
