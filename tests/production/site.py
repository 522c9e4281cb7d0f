"""A site as in production: every role processes of its own, with the environment a site would give it and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from marketplace.keys import ensure_keys_apart
from marketplace.settings.roles import KEY_FILES
from marketplace.supervisor.apart import DOMAIN, ROLES, Apart
from marketplace.supervisor.process import Part
from marketplace.supervisor.servers import PrivatePostgres, PrivateRedis
from tests.production import REPOSITORY

__all__ = ["DOMAIN", "ROLES", "Site"]
WEB = {
    "EMAIL_URL": "dummymail://",
    "CSSI_FROM_EMAIL": "Site <no-reply@site.example>",
    "CHAIN_ID": "1337",
    "CHAIN_RPC_URL": "http://127.0.0.1:9",
}


class Site:
    """The environment of each role, and the processes started with it."""

    def __init__(self, folder: Path, postgres: PrivatePostgres, redis: PrivateRedis) -> None:
        self.folder = folder
        self.postgres, self.redis = postgres, redis
        self.apart = Apart(
            folder=folder,
            databases={role: postgres.url(DOMAIN[role]) for role in ROLES},
            redis={role: redis.url(role) for role in ROLES},
            keys=folder / "keys",
            common={"CSSI_SITE_URL": "https://site.example", "CSSI_STATIC_ROOT": str(folder / "static")},
            of_role={"web": WEB},
        )
        self.parts: list[Part] = []
        ensure_keys_apart(folder / "keys", KEY_FILES)

    def url(self, role: str) -> str:
        return self.apart.url(role)

    def environment(self, role: str) -> dict[str, str]:
        return self.apart.environment(role)

    def run(self, role: str, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """A command of Python's, as this role."""
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environment(role) | changed,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def manage(self, role: str, *arguments: str, **changed: str) -> str:
        """Output of a management command of this role, which must succeed."""
        done = self.run(role, "manage.py", *arguments, **changed)
        assert done.returncode == 0, (role, arguments, done.stdout, done.stderr)
        return done.stdout

    def collect_static(self) -> None:
        """As the image's build does."""
        script = REPOSITORY / "deploy" / "image" / "collect-static.sh"
        path = {"PATH": self.environment("web")["PATH"]}
        subprocess.run(["sh", str(script), str(self.folder / "static")], env=path, check=True, timeout=120)

    def start(self, *, workers: Iterable[str] = (), settings: str) -> None:
        """The pages of every role side by side, and background work for some, ready when this returns."""
        self.apart.common = {**self.apart.common, "DJANGO_SETTINGS_MODULE": settings}
        self.parts = [self.apart.pages(role) for role in ROLES]
        self.parts += [part for role in workers for part in (self.apart.worker(role), self.apart.beat(role))]
        for part in self.parts:
            part.start()
        for part in self.parts:
            part.wait_ready()
        self.apart.common = {**self.apart.common, "DJANGO_SETTINGS_MODULE": "marketplace.settings.production"}

    def stop(self) -> None:
        with ThreadPoolExecutor(len(self.parts) or 1) as pool:
            list(pool.map(Part.stop, self.parts))
        self.parts.clear()
