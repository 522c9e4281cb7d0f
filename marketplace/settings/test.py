"""Settings of the test run: databases in memory-backed files of their own, no broker, no network."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
_scratch = Path(os.environ.setdefault("CSSI_TEST_DIR", tempfile.mkdtemp(prefix="cssi-test-")))
os.environ["CSSI_VAR"] = str(_scratch / _worker)

from marketplace.settings.local import *  # noqa: E402

for _alias, _config in DATABASES.items():
    # No domain waits for another: a test may ask for one database alone.
    _config["TEST"] = {"NAME": str(VAR_DIR / f"test-{_alias}.sqlite3"), "DEPENDENCIES": []}

CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
# A task sent in a test stays in memory: tests call the service they mean.
CELERY_BROKER_URL = "memory://"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Every test client makes the chain of middleware anew: a static file is looked for when it is asked for, not all of them each time.
WHITENOISE_AUTOREFRESH = True
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
