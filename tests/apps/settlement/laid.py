"""What several tests begin with is made once per process and laid down again for each: the chain's file and the rows beside it.

Layers build on each other: contracts, then a consumer with money, then a collective. A layer may only be laid where nothing
happened since the one below it; where something did, it is made anew, so a test never finds anything of another one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connections, transaction

ALIASES = ("default", "distributor", "aggregator")
LEFT_ALONE = ("django_content_type", "auth_permission", "django_migrations", "sqlite_sequence")
Rows = dict[tuple[str, str], tuple[list[str], list[Any]]]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """`rows`: by database and table; `memory`: what a test's object in this process remembered."""

    file: Path
    rows: Rows
    memory: dict[str, Any]


_KEPT: dict[tuple[str, ...], Layer] = {}


def begin(process: Any) -> None:
    """From here on layers may be laid on this chain."""
    process.laid, process.mark = (), _mark(process)


def lay(process: Any, name: str, make: Callable[[], Any], folder: Path, memory: Any = None) -> None:
    """Make a layer, or lay down the one that was made like this before. `memory`: an object whose state belongs to it."""
    if process.laid is None or process.mark != _mark(process) or not _can_keep():
        make()
        process.laid = None
        return
    process.laid = (*process.laid, name)
    found = _KEPT.get(process.laid)
    if found is None:
        make()
        file = folder / "-".join(process.laid).replace(":", "-")
        process.keep(file)
        _KEPT[process.laid] = Layer(file=file, rows=_dump(), memory=copy.deepcopy(_state(memory)))
    else:
        process.replace(found.file)
        _load(found.rows)
        if memory is not None:
            vars(memory).update(copy.deepcopy(found.memory))
    process.mark = _mark(process)


def _can_keep() -> bool:
    # Rows are read and written as the database has them, without conversion: that is SQLite's way alone.
    return all(connections[alias].vendor == "sqlite" for alias in ALIASES)


def _mark(process: Any) -> tuple[int, ...]:
    """Changes with every block and with every row that is written."""
    if not _can_keep():
        return ()
    for alias in ALIASES:
        connections[alias].ensure_connection()
    return (process.evm.number, *(connections[alias].connection.total_changes for alias in ALIASES))


def _state(memory: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(memory).items() if not name.startswith("_")} if memory else {}


def _dump() -> Rows:
    found: Rows = {}
    for alias in ALIASES:
        with connections[alias].cursor() as cursor:
            for table in connections[alias].introspection.table_names(cursor):
                if table not in LEFT_ALONE:
                    rows = cursor.execute(f'select * from "{table}"').fetchall()
                    found[alias, table] = ([column[0] for column in cursor.description], rows)
    return found


def _load(rows: Rows) -> None:
    for alias in ALIASES:
        # References are checked at the end of the transaction, so the order of tables does not matter.
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            raw = cursor.connection
            for (where, table), (columns, values) in rows.items():
                if where == alias:
                    raw.execute(f'delete from "{table}"')
                    names, marks = ", ".join(f'"{c}"' for c in columns), ", ".join("?" * len(columns))
                    raw.executemany(f'insert into "{table}" ({names}) values ({marks})', values)
