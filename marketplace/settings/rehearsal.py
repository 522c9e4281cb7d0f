"""The production profile rehearsed on one machine (`manage.py demo --profile production`): PostgreSQL, Redis, every role processes of its
own with only its database and keys, as `production.py` has them. What differs is what a machine without a name lacks: TLS, a
mail server, a chain that is worth something.
"""

from __future__ import annotations

from marketplace.settings import one_machine
from marketplace.settings.production import *

REHEARSAL = True
# Of one machine: where its state lies, its letters, its chain, its lowered money rules. What production says of the rest stays.
for _name in (
    *(
        "VAR_DIR",
        "LOG_DIR",
        "PORT",
        "DEVELOPMENT",
        "DEVELOPMENT_MINIMA",
        "NOTICE_MIN_SECONDS",
        "MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN",
    ),
    *("EMAIL_BACKEND", "EMAIL_FILE_PATH", "DEFAULT_FROM_EMAIL", "ACCOUNT_EMAIL_VERIFICATION"),
    *("CHAIN_ID", "CHAIN_PORT", "CHAIN_RPC_URL", "CHAIN_CONFIRMATIONS", "CHAIN_DATA_DIR"),
    *("EPOCH_MIN_COLLECTIVES", "EPOCH_MIN_RECIPIENTS", "LOT", "EPOCH_ON_JOB_END"),
):
    globals()[_name] = getattr(one_machine, _name)
REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] = one_machine.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]

SECURE_SSL_REDIRECT = False
SECURE_HSTS_SECONDS = 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
# An epoch is closed when a job ends; the daily one would come in between.
CELERY_BEAT_SCHEDULE = {name: entry for name, entry in CELERY_BEAT_SCHEDULE.items() if name != "epoch"}
