"""What the logs leave out: the traceback of a refusal that somebody was told in words, and what an exception's text quotes."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

from marketplace.trust import OWN_PACKAGES


class ExpectedRefusals(logging.Filter):
    """Takes the traceback from Django's lines about 4xx answers. What is a bug of ours answers 500 and keeps it."""

    def filter(self, record: logging.LogRecord) -> bool:
        status = getattr(record, "status_code", None)
        if isinstance(status, int) and 400 <= status < 500:
            record.exc_info, record.exc_text = None, None
        return True


def told(error: BaseException) -> str:
    """Where an exception was raised and of which type; its own words only where they are ours.

    Words of a database or a library quote what they are about (`Key (subscription_key)=(…) already exists`); sentences of our own
    errors name nobody.
    """
    causes: list[BaseException] = []
    here: BaseException | None = error
    while here is not None and here not in causes:
        causes.append(here)
        here = here.__cause__ or (None if here.__suppress_context__ else here.__context__)
    return "\nwhich led to:\n".join(_one(cause) for cause in reversed(causes))


def _one(error: BaseException) -> str:
    kind = type(error)
    ours = kind.__module__.split(".")[0] in OWN_PACKAGES
    words = f"{kind.__module__}.{kind.__qualname__}" + (f": {error}" if ours else "")
    return "".join(traceback.format_list(traceback.extract_tb(error.__traceback__))) + words


class WithoutValues(logging.Filter):
    """For records of the standard library's loggers: Django, Celery, uvicorn and our own."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(record.args, dict) and {"exc", "traceback"} <= record.args.keys():
            # Celery's line of a task that failed: it spells the exception, its traceback and the task's arguments.
            record.msg, record.args = "Task %(name)s failed", {"name": record.args.get("name", "")}
            record.__dict__.pop("data", None)
        if error is not None:
            record.msg, record.args = f"{record.getMessage()}\n{told(error)}", ()
            record.exc_info, record.exc_text = None, None
        return True


def exception_without_values(logger: Any, name: str, event: dict[str, Any]) -> dict[str, Any]:
    """The same as a processor of structlog, in place of `format_exc_info`."""
    found = event.pop("exc_info", None)
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["exception"] = told(error)
    return event
