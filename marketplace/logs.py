"""What the logs leave out: a refusal that somebody was told in words is one line, not a traceback."""

from __future__ import annotations

import logging


class ExpectedRefusals(logging.Filter):
    """Takes the traceback from Django's lines about 4xx answers. What is a bug of ours answers 500 and keeps it."""

    def filter(self, record: logging.LogRecord) -> bool:
        status = getattr(record, "status_code", None)
        if isinstance(status, int) and 400 <= status < 500:
            record.exc_info, record.exc_text = None, None
        return True
