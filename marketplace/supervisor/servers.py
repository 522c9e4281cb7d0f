"""PostgreSQL and Redis of one's own, from the programs installed on this machine, on free ports, gone afterwards.

For what must be tried against the real servers: the tests marked `production` and `manage.py demo --profile production`. A site for
people has servers that somebody looks after (docs/operations.md).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

INSTALL = "Install them, on Debian with: apt-get install postgresql redis-server"
_START_SECONDS = 60.0


class NotInstalledError(RuntimeError):
    """A server's program is missing; the sentence says which and how to get it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_program(name: str) -> Path:
    """A program of PostgreSQL: on the path, or the newest where Debian keeps them.

    Raises:
        NotInstalledError: there is none.
    """
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True
    )
    for folder in versions:
        if (folder / name).exists():
            return folder / name
    if found := shutil.which(name):
        return Path(found)
    raise NotInstalledError(f"PostgreSQL's {name} is not installed. {INSTALL}")


def redis_program() -> Path:
    """Raises:
    NotInstalledError: neither Redis nor Valkey is installed.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    raise NotInstalledError(f"Neither redis-server nor valkey-server is installed. {INSTALL}")


def _other_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root; then it runs as `postgres`, or as nobody."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise NotInstalledError("PostgreSQL does not run as root, and there is no user postgres or nobody here.")


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], what: str, log: Path) -> None:
    limit = time.monotonic() + _START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > limit:
            tail = log.read_text(errors="replace")[-600:] if log.exists() else ""
            raise RuntimeError(f"{what} did not start: {tail}")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes] | None, number: signal.Signals) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


@dataclass(kw_only=True)
class PrivatePostgres:
    """One server in a temporary folder. `durable=False` skips every fsync: faster, and only a test can afford it."""

    durable: bool = False
    folder: Path = field(init=False)
    port: int = field(default_factory=free_port)
    passwords: dict[str, str] = field(default_factory=dict, repr=False, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False, init=False)

    def start(self) -> None:
        """Raises:
        NotInstalledError: a program is missing.
        RuntimeError: it did not start.
        """
        self._server, initdb = postgres_program("postgres"), postgres_program("initdb")
        self._as = _other_user()
        self.folder = Path(tempfile.mkdtemp(prefix="cssi-pg-"))
        if self._as:
            os.chown(self.folder, self._as["user"], self._as["group"])
        secret = self.folder / "superuser"
        self.passwords["postgres"] = secrets.token_hex(16)
        secret.write_text(self.passwords["postgres"], encoding="ascii")
        secret.chmod(0o644)  # in a folder only this user and the server's may enter
        self._run(
            [
                *(str(initdb), "--pgdata", str(self.folder / "data"), "--username", "postgres", "--no-sync"),
                *(
                    "--auth",
                    "scram-sha-256",
                    "--pwfile",
                    str(secret),
                    "--encoding",
                    "UTF8",
                    "--locale",
                    "C.UTF-8",
                ),
            ]
        )
        self.up()

    def up(self) -> None:
        """Start the server on its data; after `down` or `kill` too."""
        fast = (
            ()
            if self.durable
            else ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
        )
        log = self.folder / "server.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 - a program found by us
                [
                    *(str(self._server), "-D", str(self.folder / "data"), "-p", str(self.port)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}"),
                    *("-c", "max_connections=300", "-c", "shared_buffers=64MB", *fast),
                ],
                stdout=out,
                stderr=out,
                cwd=self.folder,
                **self._as,
            )
        _wait(self._answers, self._process, "PostgreSQL", log)

    def _answers(self) -> bool:
        program = [str(postgres_program("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(program, check=False).returncode == 0  # noqa: S603 - a program found by us

    def domain(self, name: str, script: Path) -> str:
        """Make a trust domain's login and database with the script a site uses; its URL.

        Args:
            script: deploy/postgres/domain.sh.
        """
        password = self.passwords.setdefault(name, secrets.token_hex(16))
        secret = self.folder / f"{name}-password"
        secret.write_text(password, encoding="ascii")
        secret.chmod(0o600)
        self._run(["sh", str(script), name, str(secret)], environment=self.superuser(), drop=False)
        return self.url(name)

    def superuser(self) -> dict[str, str]:
        """psql's variables for the superuser."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGPASSWORD": self.passwords["postgres"],
        }

    def url(self, user: str, database: str = "") -> str:
        return f"postgres://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/{database or user}"

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def down(self) -> None:
        _stop(self._process, signal.SIGINT)  # "fast": sessions end, nothing is lost
        self._process = None

    def kill(self) -> None:
        """As a power cut: no goodbye, no checkpoint."""
        _stop(self._process, signal.SIGQUIT)
        self._process = None

    def stop(self) -> None:
        self.down()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _run(
        self, command: Sequence[str], *, environment: dict[str, str] | None = None, drop: bool = True
    ) -> None:
        done = subprocess.run(  # noqa: S603 - programs found by us
            command,
            env=os.environ | (environment or {}),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            **(self._as if drop else {}),
        )
        if done.returncode != 0:
            raise RuntimeError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout)[-600:]}")


@dataclass(kw_only=True)
class PrivateRedis:
    """One Redis. `users` get a password and only the keys and channels that begin with their name; `keep` writes every command to a file."""

    users: Iterable[str] = ()
    keep: bool = False
    port: int = field(default_factory=free_port)
    passwords: dict[str, str] = field(default_factory=dict, repr=False, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False, init=False)

    def start(self) -> None:
        """Raises:
        NotInstalledError: neither Redis nor Valkey is installed.
        RuntimeError: it did not start.
        """
        self._program = redis_program()
        self.folder = Path(tempfile.mkdtemp(prefix="cssi-redis-"))
        for user in ("default", *self.users):
            self.passwords.setdefault(user, secrets.token_hex(16))
        rules = [f"user default on >{self.passwords['default']} ~* &* +@all"]
        rules += [acl_rule(user, self.passwords[user]) for user in self.users]
        (self.folder / "users.acl").write_text("\n".join(rules) + "\n", encoding="ascii")
        self.up()

    def up(self) -> None:
        """Start it, empty; after `down` too."""
        log = self.folder / "server.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 - a program found by us
                [
                    *(str(self._program), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
                    *(
                        "--appendonly",
                        "yes" if self.keep else "no",
                        "--dir",
                        str(self.folder),
                        "--aclfile",
                        str(self.folder / "users.acl"),
                    ),
                ],
                stdout=out,
                stderr=out,
            )
        _wait(self._answers, self._process, "Redis", log)

    def _answers(self) -> bool:
        with socket.socket() as client:
            client.settimeout(1)
            try:
                client.connect(("127.0.0.1", self.port))
                client.sendall(b"PING\r\n")
                return client.recv(8)[:1] in {b"+", b"-"}  # "not authenticated" is an answer too
            except OSError:
                return False

    def url(self, user: str = "default", database: int = 0) -> str:
        return f"redis://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/{database}"

    def down(self) -> None:
        _stop(self._process, signal.SIGTERM)
        self._process = None

    def kill(self) -> None:
        """As a power cut; what was not kept is lost."""
        _stop(self._process, signal.SIGKILL)
        self._process = None

    def stop(self) -> None:
        self.down()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)


def acl_rule(user: str, password: str) -> str:
    """The line of Redis' user file that keeps a role to its own keys and channels (CSSI_REDIS_PREFIX is the user's name)."""
    return f"user {user} on >{password} ~{user}:* &{user}:* +@all -@admin -@dangerous +info +client"
