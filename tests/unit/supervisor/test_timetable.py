"""Celery's own timetable under a clock that is set: forwards, and two hours back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery

from marketplace import timetable
from marketplace.timetable import Timetable

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()


class Watched(Timetable):
    """What it would send, by name."""

    sent: list[str]

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **options: Any) -> None:
        self.sent.append(entry.name)

    @property
    def producer(self) -> None:
        return None


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(timetable.time, "time", made)
    return made


@pytest.fixture
def beat(clock: Clock) -> Watched:
    app = Celery("clock", set_as_current=False)
    app.now = clock.moment
    app.conf.timezone = "UTC"
    app.conf.beat_schedule = {
        "sweep": {"task": "sweep", "schedule": 2.0},
        "report": {"task": "report", "schedule": 3600.0},
    }
    made = Watched(app=app)
    made.sent = []
    return made


def run(beat: Watched, clock: Clock, seconds: float) -> list[str]:
    """What is sent in so many seconds of the clock, looked at every half second."""
    beat.sent = []
    until = clock.now + seconds
    while clock.now < until:
        while beat.tick() == 0:
            pass
        clock.now += 0.5
    return beat.sent


def test_nothing_waits_for_a_time_that_was_already_there(beat: Watched, clock: Clock) -> None:
    run(beat, clock, 1)
    assert run(beat, clock, 20).count("sweep") == 10
    clock.now -= 7200
    assert 9 <= run(beat, clock, 20).count("sweep") <= 10
    clock.now += 7200
    assert 9 <= run(beat, clock, 20).count("sweep") <= 11


def test_what_is_rare_comes_neither_earlier_nor_later_for_it(beat: Watched, clock: Clock) -> None:
    run(beat, clock, 1800)
    clock.now -= 7200
    assert run(beat, clock, 1700).count("report") == 0
    assert run(beat, clock, 300).count("report") == 1


def test_celery_alone_would_wait_two_hours(
    beat: Watched, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why there is a timetable of our own; when this fails, Celery's has learned it."""
    monkeypatch.setattr(timetable, "NOTICED_SECONDS", float("inf"))
    run(beat, clock, 20)
    clock.now -= 7200
    assert run(beat, clock, 60) == []
