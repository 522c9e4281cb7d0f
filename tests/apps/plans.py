"""Which tables a piece of work reads from end to end, as SQLite plans its statements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connections
from django.test.utils import CaptureQueriesContext


def scanned(alias: str, work: Callable[[], Any], *, partial: str = "") -> set[str]:
    """Tables that a statement of `work` goes through whole. `partial` names an index that holds only a part of a table: that is not whole."""
    connection = connections[alias]
    with CaptureQueriesContext(connection) as captured:
        work()
    found: set[str] = set()
    with connection.cursor() as cursor:
        for query in captured.captured_queries:
            if query["sql"].startswith(("SELECT", "UPDATE", "DELETE")):
                plan = connection.ops.explain_query_prefix() + " " + query["sql"]
                cursor.execute(plan.replace("%", "%%"), [])
                steps = [step.split() for *_, step in cursor.fetchall()]
                found |= {step[1] for step in steps if step[0] == "SCAN" and step[-1] != partial}
    return found
