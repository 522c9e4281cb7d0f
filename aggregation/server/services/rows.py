"""The statements that run for every batch of what wallets say, as SQL: composing them anew each time costs several times what they take.

Everything else goes through the models, whose tables and columns these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connections, models

from aggregation.server.models import ALIAS, Participant, PhaseMessage, Round
from aggregation.server.states import Step

_MOST = 500
"""Parameters of a statement; SQLite takes 999 or more."""


@dataclass(frozen=True, slots=True)
class RoundRow:
    """What a batch needs of a round."""

    pk: int
    number: int
    step: Step


@dataclass(slots=True)
class Who:
    """What a batch needs of a participant."""

    pk: int
    state: str
    hub: str
    gone_since: float


def locked_rounds(keys: Iterable[int]) -> dict[int, RoundRow]:
    """These rounds, locked until the transaction ends (SQLite locks the whole file when it begins)."""
    end = " ORDER BY {0} FOR UPDATE" if connections[ALIAS].features.has_select_for_update else ""
    found = _select(Round, ("id", "number", "step"), keys, end)
    return {pk: RoundRow(pk, number, Step(step)) for pk, number, step in found}


def participants(keys: Iterable[int]) -> dict[int, Who]:
    found = _select(Participant, ("id", "state", "hub", "gone_since"), keys)
    return {row[0]: Who(*row) for row in found}


def insert_messages(rows: Sequence[tuple[int, str, bytes]]) -> None:
    """Participant, phase and body of every message.

    Raises:
        IntegrityError: one is stored already.
    """
    table, *columns = _names(PhaseMessage, "participant", "phase", "body")
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES (%s, %s, %s)"  # noqa: S608  names of our models
    with connections[ALIAS].cursor() as cursor:
        cursor.executemany(statement, rows)


def _select(
    model: type[models.Model], columns: tuple[str, ...], keys: Iterable[int], end: str = ""
) -> list[Any]:
    wanted, found = sorted(keys), []
    names = _names(model, *columns)
    head = f"SELECT {', '.join(names[1:])} FROM {names[0]} WHERE {names[1]} IN "  # noqa: S608  names of our models
    with connections[ALIAS].cursor() as cursor:
        for start in range(0, len(wanted), _MOST):
            part = wanted[start : start + _MOST]
            cursor.execute(f"{head}({', '.join(['%s'] * len(part))}){end.format(names[1])}", part)
            found += cursor.fetchall()
    return found


@cache
def _names(model: type[models.Model], *columns: str) -> tuple[str, ...]:
    """The table's name and those of the fields' columns, quoted."""
    quote = connections[ALIAS].ops.quote_name
    fields = (model._meta.get_field(name).column for name in columns)
    return (quote(model._meta.db_table), *map(quote, fields))
