"""Backup and restore of one domain, by the scripts a site uses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.production import REPOSITORY, plugin
from tests.production.site import Site

SCRIPTS = REPOSITORY / "deploy" / "backups"


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key that backups are encrypted to."""
    folder = tmp_path_factory.mktemp("vault")
    for name in ("own", "another"):
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "30",
            "-subj",
            f"/CN={name}",
        ]
        command += ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")]
        subprocess.run(command, check=True, capture_output=True)
    return folder


def login(tmp_path: Path, domain: str) -> dict[str, str]:
    """The domain's own login, with its password in a file."""
    secret = tmp_path / "pgpass"
    secret.write_text(f"127.0.0.1:{plugin.postgres.port}:*:{domain}:{plugin.postgres.passwords[domain]}\n")
    secret.chmod(0o600)
    told = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(plugin.postgres.port),
        "PGDATABASE": domain,
        "PGUSER": domain,
    }
    return {"PATH": os.environ["PATH"], "PGPASSFILE": str(secret)} | told


def run(script: str, *arguments: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def small_domain(tmp_path: Path, script: Path) -> Iterator[Site]:
    """A fifth domain's database with the distributor's tables, so that the others are left alone."""
    spare = Site(tmp_path / "spare", plugin.postgres, plugin.redis)
    plugin.postgres.domain("spare", script)
    yield spare
    drop()


def drop() -> None:
    with psycopg.connect(plugin.postgres.url("postgres", "postgres"), autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS spare WITH (FORCE)")


def migrate(site: Site) -> str:
    return site.manage("distributor", "migrate_domains", **spare_database())


def spare_database() -> dict[str, str]:
    return {"DISTRIBUTOR_DATABASE_URL_FILE": "", "DISTRIBUTOR_DATABASE_URL": plugin.postgres.url("spare")}


def contents() -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with psycopg.connect(plugin.postgres.url("spare")) as database:
        tables = database.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        ).fetchall()
        return {name: database.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall() for (name,) in tables}


def test_a_domain_comes_back_as_it_was(small_domain: Site, vault: Path, tmp_path: Path, script: Path) -> None:
    migrate(small_domain)
    key = "a7" * 32
    with psycopg.connect(plugin.postgres.url("spare")) as database:
        database.execute(
            "INSERT INTO distributor_presence (key, connected, last_seen) VALUES (%s, true, 5)", [key]
        )
    before = contents()
    assert before["distributor_presence"][0][0] == key

    told = login(tmp_path, "spare")
    made = run("backup.sh", tmp_path, vault / "own.pem", environment=told)
    assert made.returncode == 0, made.stderr
    backup = Path(made.stdout.strip())
    assert key.encode() not in backup.read_bytes()
    assert backup.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.glob("*.part*")] == []

    refused = run("restore.sh", backup, vault / "own.pem", vault / "own.key", environment=told)
    assert refused.returncode != 0
    assert "not empty" in refused.stderr

    drop()
    plugin.postgres.domain("spare", script)
    wrong = run("restore.sh", backup, vault / "another.pem", vault / "another.key", environment=told)
    assert wrong.returncode != 0
    damaged = tmp_path / "damaged.cms"
    damaged.write_bytes(backup.read_bytes()[:-40] + bytes(40))
    assert run("restore.sh", damaged, vault / "own.pem", vault / "own.key", environment=told).returncode != 0
    assert contents() == {}

    back = run("restore.sh", backup, vault / "own.pem", vault / "own.key", environment=told)
    assert back.returncode == 0, back.stderr
    assert contents() == before
    assert "up to date" in migrate(small_domain)  # nothing left to do, and nothing lost by trying
    assert contents() == before


def test_a_dump_that_breaks_off_leaves_no_backup(vault: Path, tmp_path: Path) -> None:
    told = login(tmp_path, "market") | {"PGDATABASE": "nowhere"}
    failed = run("backup.sh", tmp_path, vault / "own.pem", environment=told)
    assert failed.returncode != 0
    assert "nothing was kept" in failed.stderr
    assert list(tmp_path.glob("*.cms*")) == []


def test_a_domain_cannot_back_up_another(vault: Path, tmp_path: Path) -> None:
    told = login(tmp_path, "distributor") | {"PGDATABASE": "market"}
    failed = run("backup.sh", tmp_path, vault / "own.pem", environment=told)
    assert failed.returncode != 0
    assert "permission denied for database" in failed.stderr
