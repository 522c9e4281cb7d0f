"""What every sweep of the timetable does while nothing happens: it looks, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from aggregation.server import tasks as aggregator
from collectives import tasks as collectives
from marketplace.individuals import tasks as individuals
from marketplace.jobs import tasks as jobs
from marketplace.settlement import tasks as settlement
from wallets.distributor import tasks as distributor

ALIASES = ("default", "distributor", "aggregator")
pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


def statements(work: Callable[[], object]) -> list[str]:
    """The first word of each statement, in all of the databases."""
    with ExitStack() as stack:
        taken = [stack.enter_context(CaptureQueriesContext(connections[alias])) for alias in ALIASES]
        work()
    return [query["sql"].split()[0].upper() for queries in taken for query in queries]


@pytest.mark.parametrize(
    "sweep",
    [
        aggregator.sweep,
        collectives.sweep,
        individuals.sweep,
        jobs.sweep,
        settlement.sweep_task,
        distributor.sweep,
    ],
    ids=lambda sweep: sweep.name,
)
def test_a_sweep_that_finds_nothing_writes_nothing(
    sweep: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributor.standing.clients, "letters", list)
    said = statements(sweep)
    assert said, "it looked"
    assert set(said) == {"SELECT"}, said
