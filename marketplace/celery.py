"""The Celery application: background work of every domain, each in its own tasks module."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import beat_embedded_init, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings.local")

app = Celery("compute_to_ssi", fixups=["marketplace.connections:fixup"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def _before_the_pool_is_forked(**_: object) -> None:
    from aggregation.server.memory import map_vectors
    from marketplace.garbage import look_seldom

    look_seldom()
    map_vectors()


@beat_embedded_init.connect
def _the_clock_ends_with_its_worker(**_: object) -> None:
    """A worker that was killed left its clock behind: a process that went on asking for sweeps, of the next worker in this folder."""
    from marketplace.supervisor.process import die_with_parent

    die_with_parent()
