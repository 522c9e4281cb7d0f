"""`manage.py demo --profile production`: the same story, told on PostgreSQL and Redis with every role in processes of its own.

Settings are fixed once Django has started, so the command starts the servers and then itself anew with the settings of the rehearsal.
That second process is the audience: it alone may look into every domain's database, to compare what lies there with what should.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from marketplace.demo.isolation import free_port
from marketplace.keys import ensure_keys_apart
from marketplace.settings.roles import KEY_FILES
from marketplace.supervisor.apart import DOMAIN, DOMAIN_SCRIPT, ROLES
from marketplace.supervisor.servers import PrivatePostgres, PrivateRedis

SETTINGS = "marketplace.settings.rehearsal"


def on_stage() -> bool:
    """Does this process rehearse production already?"""
    return os.environ.get("DJANGO_SETTINGS_MODULE") == SETTINGS


def rerun(arguments: Sequence[str], say: Callable[[str], None]) -> int:
    """Start servers, run `manage.py` with these arguments on them, stop the servers; its exit code.

    Raises:
        NotInstalledError: PostgreSQL or Redis is not installed here.
        RuntimeError: one of them did not start.
    """
    postgres, redis = PrivatePostgres(durable=True), PrivateRedis(users=ROLES, keep=True)
    try:
        postgres.start()
        redis.start()
        for role in ROLES:
            postgres.domain(DOMAIN[role], DOMAIN_SCRIPT)
        say("PostgreSQL and Redis are up, a database and a login per trust domain")
        keys = Path(settings.VAR_DIR) / "keys"
        ensure_keys_apart(keys, KEY_FILES)
        told = environment(postgres, redis, keys)
        audience = subprocess.Popen([sys.executable, *arguments], env=os.environ | told)  # noqa: S603 - ourselves
        # Ctrl-C reaches both; the audience takes the stage down, and only then the servers go.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return audience.wait()
    finally:
        redis.stop()
        postgres.stop()


def environment(
    postgres: PrivatePostgres, redis: PrivateRedis, keys: Path, here: Any = settings
) -> dict[str, str]:
    """What the audience is told: everything, and in `CSSI_ROLE_…` what each role is told. `here` says where on this machine."""
    told = {
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "CSSI_VAR": str(here.VAR_DIR),
        "CSSI_ROLES": ",".join(ROLES),
        "CSSI_HOSTS": "127.0.0.1",
        "CSSI_SITE_URL": here.SITE_URL,
        "CSSI_KEYS_DIR": str(keys / "all"),
        "CHAIN_KEYS_DIR": str(keys / "chain"),
        "CHAIN_ID": str(here.CHAIN_ID),
        "CHAIN_RPC_URL": f"http://127.0.0.1:{here.CHAIN_PORT}",
        "DJANGO_SECRET_KEY_FILE": str(keys / "web" / "django.key"),
        "EMAIL_URL": "dummymail://",
        "CSSI_FROM_EMAIL": "Compute-to-SSI <no-reply@localhost>",
        "REDIS_URL": redis.url(),
        "CSSI_REDIS_PREFIX": "web",
        "CSSI_POSTGRES_FOLDER": str(postgres.folder),
        "CSSI_POSTGRES_SUPERUSER": postgres.url("postgres", "postgres"),
        "CSSI_REDIS_FOLDER": str(redis.folder),
    }
    for role in ROLES:
        port = here.PORT if role == "web" else free_port()
        told[f"CSSI_PORT_{role.upper()}"] = str(port)
        told[f"{DOMAIN[role].upper()}_DATABASE_URL"] = postgres.url(DOMAIN[role])
        told[f"REDIS_URL_{role.upper()}"] = redis.url(role)
    told["DISTRIBUTOR_URL"] = f"http://127.0.0.1:{told['CSSI_PORT_DISTRIBUTOR']}"
    told["AGGREGATOR_URL"] = f"http://127.0.0.1:{told['CSSI_PORT_AGGREGATOR']}"
    told["ISSUER_URL"] = f"http://127.0.0.1:{told['CSSI_PORT_ISSUER']}/issuer"
    return told
