"""A worker's database connections: kept from task to task, as those of requests are from request to request."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.fixups.django import DjangoFixup, DjangoWorkerFixup
from django.db import close_old_connections


class KeptConnections(DjangoWorkerFixup):
    """Celery's own closes every connection before and after every task. A sweep's work was opening them again, setting them up and
    reading the schema anew. Here Django's rule holds: a connection is closed when it failed or is as old as CONN_MAX_AGE, and where
    the settings ask for it (CONN_HEALTH_CHECKS) it is tried before a task uses it.
    """

    def install(self) -> KeptConnections:
        super().install()
        self._close_database()  # before the pool is forked: no child inherits a connection
        return self

    def close_database(self, **_: Any) -> None:
        close_old_connections()


class _Fixup(DjangoFixup):
    @property
    def worker_fixup(self) -> DjangoWorkerFixup:
        if self._worker_fixup is None:
            self._worker_fixup = KeptConnections(self.app)
        return self._worker_fixup


def fixup(app: Celery) -> DjangoFixup:
    """What Celery calls when the application is made."""
    return _Fixup(app).install()
