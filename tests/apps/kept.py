"""What hundreds of tests begin with is made by the services once per process; later tests get the rows and objects that were made then.

Only where nobody could tell: in a test that is rolled back, whose database has nobody yet, under the same changed settings and language.
Everywhere else it is made anew, and once a minute, so that nothing is ever much older than what a test would have made.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection
from django.utils import translation

from marketplace.accounts.models import Account

Made = TypeVar("Made")
LEFT_ALONE = ("django_content_type", "auth_permission", "django_migrations", "sqlite_sequence")
ADDRESSES = ("DISTRIBUTOR_URL", "AGGREGATOR_URL")
"""Where a test's own servers listen, at another port each time. Only calls need that, and nothing that is made here makes one."""
Rows = dict[str, tuple[list[str], list[Any]]]

YOUNG_SECONDS = 60.0
_KEPT: dict[tuple[str, ...], tuple[float, bytes, Rows]] = {}


def kept(name: str, make: Callable[[], Made]) -> Made:
    """What `make` returns, its rows in the default database. What it returns must be made of rows and plain values."""
    if not connection.in_atomic_block or connection.vendor != "sqlite" or Account.objects.exists():
        return make()
    key = (name, str(translation.get_language()), *_changed_settings())
    found = _KEPT.get(key)
    if found is None or time.monotonic() > found[0] + YOUNG_SECONDS:
        before = _dump()
        made = make()
        if not any(rows for _, rows in before.values()):
            _KEPT[key] = time.monotonic(), pickle.dumps(made), {t: r for t, r in _dump().items() if r[1]}
        return made
    _load(found[2])
    again: Made = pickle.loads(found[1])
    return again


def _changed_settings() -> list[str]:
    """Every setting but for addresses that somebody changed since they were read, the last change last."""
    found, layer = [], settings._wrapped
    while "default_settings" in vars(layer):
        own = sorted(
            (k, repr(v)) for k, v in vars(layer).items() if k not in ("default_settings", *ADDRESSES)
        )
        found.append(repr(own))
        layer = layer.default_settings
    return found[::-1]


def _dump() -> Rows:
    found: Rows = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table not in LEFT_ALONE:
                rows = cursor.execute(f'select * from "{table}"').fetchall()
                found[table] = ([column[0] for column in cursor.description], rows)
    return found


def _load(rows: Rows) -> None:
    """As the database had them, without conversion; references are checked at the end of a transaction, so the order does not matter."""
    with connection.cursor() as cursor:
        for table, (columns, values) in rows.items():
            names, marks = ", ".join(f'"{c}"' for c in columns), ", ".join("?" * len(columns))
            cursor.connection.executemany(f'insert into "{table}" ({names}) values ({marks})', values)
