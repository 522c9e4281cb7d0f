"""Wake-ups: a task is sent by name, so that services need not know the tasks that call them.

The database says what there is to do; a wake-up that is lost costs seconds, because the sweeps find the work.
"""

from __future__ import annotations

from typing import Any

import structlog
from celery import current_app

log = structlog.get_logger(__name__)


def send(task: str, *arguments: Any, **options: Any) -> None:
    """Send a task by name; a broker that is down costs nothing but time."""
    try:
        current_app.send_task(task, args=arguments, retry=False, ignore_result=True, **options)
    except Exception as error:  # any broker or transport error
        log.warning("wake_up_lost", task=task, error=type(error).__name__)
