"""Celery's timetable, kept in memory, for a clock that may be set back."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from celery.beat import Scheduler

NOTICED_SECONDS = 1.0
"""A clock that is corrected by less moves nothing that matters."""


class Timetable(Scheduler):
    """Celery's own says when a task ran last by the clock of the wall. Once that is set back by an hour, nothing is due for an hour: no
    sweep looks after rounds, payments or calls meanwhile. Here the past moves along with the clock.

    In memory: a schedule file that a kill left half-written would keep beat from ever starting again, and every task is short.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._seen = 0.0
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; seconds until the next look."""
        now = time.time()
        if now < self._seen - NOTICED_SECONDS:
            back = timedelta(seconds=self._seen - now)
            for entry in self.schedule.values():
                entry.last_run_at -= back
            self._heap = None
        self._seen = now
        return float(super().tick(*args, **kwargs))
