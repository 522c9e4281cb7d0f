"""Where things can lie when the domains' databases are PostgreSQL's: tables, their files, and the server's write-ahead log."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg
from django.db import connections

from marketplace.demo.scan import Place

LOG = "write-ahead log"
"""One log for all databases of a server: whoever runs the server sees every domain's rows go by. Never a record or an update."""


def postgres_places(domain: str, alias: str) -> Iterator[Place]:
    """Each table of a domain's database, then the files it lies in (rows that were erased and not yet overwritten included)."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        for (name,) in cursor.fetchall():
            cursor.execute(f'SELECT * FROM "{name}"')  # noqa: S608 - a name from the server's own list
            yield Place(domain=domain, name=f"table:{name}", data=b"\n".join(_cells(cursor)))
        cursor.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
        (oid,) = cursor.fetchone()
    for file in sorted((_data() / "base" / str(oid)).iterdir()):
        yield Place(domain=domain, name=f"file:{domain}.postgres/{file.name}", data=file.read_bytes())


def log_places() -> Iterator[Place]:
    for file in sorted((_data() / "pg_wal").iterdir()):
        if file.is_file():
            yield Place(domain=LOG, name=f"file:{file.name}", data=file.read_bytes())


def is_of_the_server(place: Place) -> bool:
    """A file whose layout is the server's: what lies in it is searched by longer forms than what a domain wrote."""
    return place.domain == LOG or ".postgres/" in place.name


def flush() -> None:
    """Have the server write what it still holds in memory into the files."""
    with psycopg.connect(os.environ["CSSI_POSTGRES_SUPERUSER"], autocommit=True) as server:
        server.execute("CHECKPOINT")


def _data() -> Path:
    return Path(os.environ["CSSI_POSTGRES_FOLDER"]) / "data"


def _cells(rows: Iterable[tuple[object, ...]]) -> Iterator[bytes]:
    for row in rows:
        for cell in row:
            if isinstance(cell, bytes | memoryview):
                yield bytes(cell)
            elif cell is not None:
                yield str(cell).encode()
