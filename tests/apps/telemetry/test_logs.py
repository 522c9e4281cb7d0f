"""What stands in a log line of something that failed: where and what, never of whom."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError

from marketplace.logs import WithoutValues, exception_without_values, told
from marketplace.settlement.errors import SettlementError

KEY = "ab" * 32
WORDS = f"duplicate key value\nDETAIL:  Key (subscription_key)=({KEY}) already exists."


def failed(error: Exception) -> Any:
    try:
        raise error
    except Exception:
        return sys.exc_info()


def record(
    error: Exception, message: str = "a row could not be written (%s)", *arguments: Any
) -> logging.LogRecord:
    return logging.LogRecord("x", logging.ERROR, __file__, 1, message, arguments, failed(error))


def test_a_databases_words_do_not_stand_in_a_line() -> None:
    line = record(IntegrityError(WORDS), "a row could not be written (%s)", "x")
    assert WithoutValues().filter(line)
    said = logging.Formatter().format(line)
    assert KEY not in said
    assert "a row could not be written (x)" in said
    assert "IntegrityError" in said
    assert "test_logs.py" in said


def test_our_own_sentence_does() -> None:
    line = record(SettlementError("blocked", "No new jobs at the moment."), "refused")
    WithoutValues().filter(line)
    assert "No new jobs at the moment." in logging.Formatter().format(line)


def test_what_it_came_of_is_told_without_its_words_too() -> None:
    try:
        try:
            raise IntegrityError(WORDS)
        except IntegrityError as error:
            raise SettlementError("blocked", "No new jobs at the moment.") from error
    except SettlementError as error:
        said = told(error)
    assert KEY not in said
    assert said.index("IntegrityError") < said.index("which led to") < said.index("No new jobs")


def test_celerys_line_of_a_failed_task_names_the_task_alone() -> None:
    context = {
        "name": "aggregator.sweep",
        "id": KEY,
        "exc": WORDS,
        "traceback": WORDS,
        "args": [KEY],
        "kwargs": {},
    }
    line = logging.LogRecord(
        "celery.app.trace", logging.ERROR, __file__, 1, "Task %(name)s[%(id)s]: %(exc)s", (context,), None
    )
    line.data = context
    WithoutValues().filter(line)
    assert line.getMessage() == "Task aggregator.sweep failed"
    assert KEY not in str(line.__dict__)


@pytest.mark.parametrize("given", [True, "tuple", "error"])
def test_the_structured_lines_say_the_same(given: Any) -> None:
    try:
        raise IntegrityError(WORDS)
    except IntegrityError as error:
        exc_info = {True: True, "tuple": sys.exc_info(), "error": error}[given]
        event = exception_without_values(None, "error", {"event": "order_stuck", "exc_info": exc_info})
    assert KEY not in str(event)
    assert "IntegrityError" in event["exception"]
    assert event["event"] == "order_stuck"


def test_every_handler_of_the_site_filters() -> None:
    handlers = settings.LOGGING["handlers"].values()
    assert handlers
    assert all("values" in handler["filters"] for handler in handlers)
