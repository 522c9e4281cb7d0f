"""Every role as processes of its own on this machine, started as the image starts them: what a site runs, without the containers.

Used by the tests marked `production` and by `manage.py demo --profile production`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from marketplace.supervisor.process import Part
from marketplace.supervisor.servers import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
ENTRYPOINT = ROOT / "deploy" / "image" / "entrypoint.sh"
DOMAIN_SCRIPT = ROOT / "deploy" / "postgres" / "domain.sh"
DOMAIN = {"web": "market", "distributor": "distributor", "aggregator": "aggregator", "issuer": "issuer"}
"""Role -> the trust domain whose database it opens."""
ROLES = tuple(DOMAIN)
IN_SEVERAL = ("distributor", "aggregator")
"""Roles whose pages and sockets are served by two processes here."""


@dataclass(kw_only=True)
class Apart:
    """Where the parts of a site are, and the environment that each role's processes get.

    Attributes:
        folder: logs, spool and key folders (`keys/<role>`) lie in it.
        databases, redis: role -> URL with the role's own login.
        common: told to every process; `of_role` to one role's, beyond what every site needs.
        keys: folder with a key folder per role.
    """

    folder: Path
    databases: Mapping[str, str] = field(repr=False)
    redis: Mapping[str, str] = field(repr=False)
    keys: Path
    common: Mapping[str, str] = field(default_factory=dict)
    of_role: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=lambda: {role: free_port() for role in ROLES})

    def url(self, role: str) -> str:
        return f"http://127.0.0.1:{self.ports[role]}"

    def environment(self, role: str) -> dict[str, str]:
        """What a role's process is told. Secrets come from files, as mounted ones do."""
        secrets = self.folder / "secrets" / role
        secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
        (secrets / "database").write_text(self.databases[role], encoding="ascii")
        (secrets / "redis").write_text(self.redis[role], encoding="ascii")
        keys = self.keys / role
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "marketplace.settings.production",
            "CSSI_BIND": "127.0.0.1",
            "CSSI_PORT": str(self.ports[role]),
            "CSSI_WORKERS": "1",
            "WEB_CONCURRENCY": "2" if role in IN_SEVERAL else "1",
            "CSSI_ROLES": role,
            "CSSI_HOSTS": "127.0.0.1",
            "CSSI_KEYS_DIR": str(keys),
            "DJANGO_SECRET_KEY_FILE": str(keys / "django.key"),
            f"{DOMAIN[role].upper()}_DATABASE_URL_FILE": str(secrets / "database"),
            "REDIS_URL_FILE": str(secrets / "redis"),
            "CSSI_REDIS_PREFIX": role,
            "DISTRIBUTOR_URL": self.url("distributor"),
            "AGGREGATOR_URL": self.url("aggregator"),
            "ISSUER_URL": self.url("issuer") + "/issuer",
            "AGGREGATOR_SPOOL_DIR": str(self.folder / "spool"),
            **self.common,
            **self.of_role.get(role, {}),
        }

    def pages(self, role: str) -> Part:
        """Pages, API and sockets of a role."""
        return self._part(role, role, "web", lambda: self._ready(role))

    def worker(self, role: str, queues: str = "") -> Part:
        name = f"{role}-{queues.replace(',', '-') or 'worker'}"
        log = self.log(name)
        mark = log.stat().st_size if log.exists() else 0
        more = {"CSSI_QUEUES": queues} if queues else {}

        def ready() -> bool:
            return log.exists() and b"ready." in log.read_bytes()[mark:]

        return self._part(name, role, "worker", ready, more)

    def beat(self, role: str) -> Part:
        return self._part(f"{role}-beat", role, "beat", lambda: True)

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _part(
        self,
        name: str,
        role: str,
        what: str,
        ready: Callable[[], bool],
        more: Mapping[str, str] | None = None,
    ) -> Part:
        return Part(
            name=name,
            command=["sh", str(ENTRYPOINT), what],
            environment={**self.environment(role), **(more or {})},
            log=self.log(name),
            ready=ready,
            ready_within=120,
        )

    def _ready(self, role: str) -> bool:
        try:
            return httpx.get(f"{self.url(role)}/readyz", trust_env=False, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False
