"""A database that fails and comes back: what answers outside Django's requests finds its way again, in every thread."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.db import connections

from wallets.distributor.payloads import PREFIX, PayloadApp

ASKED = 20


@pytest.mark.django_db(transaction=True, databases=["default", "distributor"])
def test_downloads_go_on_after_the_database_was_gone() -> None:
    """A thread may notice by one request that fails; after that it has a connection that works."""
    app = PayloadApp()

    async def answered() -> list[int | str]:
        found = await asyncio.gather(*(ask(app) for _ in range(ASKED)), return_exceptions=True)
        return [type(one).__name__ if isinstance(one, BaseException) else one for one in found]

    async def story() -> list[list[int | str]]:
        before = await answered()
        await asyncio.to_thread(_cut_every_line)
        return [before, *[await answered() for _ in range(3)]]

    try:
        before, *after = asyncio.run(story())
    finally:
        _cut_every_line()  # those threads are over, and a database with lines cannot be taken away
    assert before == after[-1] == [404] * ASKED, "nothing of that digest is here"


async def ask(app: PayloadApp) -> int:
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    scope = {"type": "http", "method": "GET", "path": PREFIX + "0" * 64, "query_string": b"token=none"}
    await app(scope, None, send)
    return int(said[0]["status"])


def _cut_every_line() -> None:
    """As a restart of the database does it to everybody who is connected."""
    connections.close_all()  # this thread's own may have been cut before
    try:
        with connections["distributor"].cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert cursor.fetchone()[0] > 0
    finally:
        connections.close_all()
