"""Which tables a piece of work reads from end to end, as SQLite or PostgreSQL plans its statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext


def scanned(alias: str, work: Callable[[], Any], *, partial: str = "") -> set[str]:
    """Tables that a statement of `work` goes through whole. `partial` names an index that holds only a part of a table: that is not whole."""
    connection = connections[alias]
    with CaptureQueriesContext(connection) as captured:
        work()
    steps = _steps_of_sqlite if connection.vendor == "sqlite" else _steps_of_postgresql
    found: set[str] = set()
    for query in captured.captured_queries:
        if query["sql"].startswith(("SELECT", "UPDATE", "DELETE")):
            found |= {table for table, index in steps(connection, query["sql"]) if index != partial}
    return found


def _steps_of_sqlite(connection: BaseDatabaseWrapper, statement: str) -> Iterator[tuple[str, str]]:
    """(table, index or what stands in its place) of each step that reads one whole."""
    for *_, step in _explained(connection, connection.ops.explain_query_prefix(), statement):
        words = step.split()
        if words[0] == "SCAN":
            yield words[1], words[-1]


def _steps_of_postgresql(connection: BaseDatabaseWrapper, statement: str) -> Iterator[tuple[str, str]]:
    """The same. A small table is read whole whatever indexes it has, so that is forbidden where there is another way."""
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
    try:
        ((plans,),) = _explained(connection, "EXPLAIN (FORMAT JSON)", statement)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET enable_seqscan")
    waiting = [(one["Plan"], "") for one in plans]
    while waiting:
        plan, table = waiting.pop()
        table = plan.get("Relation Name", table)  # the scan of an index below a bitmap's does not name it
        if plan["Node Type"] == "Seq Scan" or ("Index Name" in plan and "Index Cond" not in plan):
            yield table, plan.get("Index Name", "")
        waiting += [(below, table) for below in plan.get("Plans", ())]


def _explained(connection: BaseDatabaseWrapper, how: str, statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"{how} {statement}".replace("%", "%%"), [])
        return cursor.fetchall()
