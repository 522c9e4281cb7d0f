"""The platform's Celery application with one task more, which takes the broker down with it: `celery -A tests.production.falling`."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from marketplace.celery import app


@app.task(name="tests.falling")
def fall(broker: int, done: str) -> None:
    """Kill the process of this number; the acknowledgement that follows finds nobody."""
    os.kill(broker, signal.SIGKILL)
    Path(done).touch()


@app.task(name="tests.standing")
def stand(done: str) -> None:
    """Say that it ran."""
    Path(done).touch()
