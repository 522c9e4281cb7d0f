"""A worker's connections: the same one for task after task, until it failed or is too old; none goes into a child."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery.fixups.django import DjangoWorkerFixup
from django.db import connections
from django.db.utils import OperationalError

from marketplace.celery import app
from marketplace.connections import KeptConnections

ALIAS = "aggregator"
TASK: Any = SimpleNamespace(request=SimpleNamespace(is_eager=False))


@pytest.fixture
def kept() -> Any:
    return app._fixups[0].worker_fixup


@pytest.fixture
def connection(transactional_db: None) -> Any:
    found = connections[ALIAS]
    found.close()
    yield found
    found.close()


def a_task(fixup: DjangoWorkerFixup) -> Any:
    """The raw connection that a task finds and leaves."""
    fixup.on_task_prerun(TASK)
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT 1")
        raw = connections[ALIAS].connection
    fixup.on_task_postrun(TASK)
    return raw


pytestmark = pytest.mark.django_db(databases=[ALIAS], transaction=True)


def test_the_application_keeps_connections_and_celery_alone_does_not(kept: Any, connection: Any) -> None:
    assert isinstance(kept, KeptConnections)
    first = a_task(kept)
    assert a_task(kept) is first
    assert a_task(DjangoWorkerFixup(app)) is not first
    assert connection.connection is None


def test_a_connection_that_grew_old_is_opened_anew(kept: Any, connection: Any) -> None:
    first = a_task(kept)
    connection.close_at = time.monotonic() - 1
    assert a_task(kept) is not first


def test_a_connection_that_failed_is_opened_anew(
    kept: Any, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = a_task(kept)
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM nothing_of_that_name")
    assert connection.errors_occurred
    assert a_task(kept) is first  # it answers: the statement was wrong, not the connection
    connection.errors_occurred = True
    with monkeypatch.context() as patched:
        patched.setattr(connection, "is_usable", lambda: False)
        kept.on_task_prerun(TASK)
    assert connection.connection is None


def test_what_the_parent_opened_is_closed_before_it_forks(connection: Any) -> None:
    a_task(app._fixups[0].worker_fixup)
    assert connection.connection is not None
    KeptConnections(app).install()
    assert connection.connection is None
