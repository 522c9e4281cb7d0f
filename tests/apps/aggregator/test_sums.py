"""How a released sum lies in its column, and that looking at a round does not read it."""

from __future__ import annotations

import numpy as np
import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from aggregation.server import memory
from aggregation.server.models import ALIAS, Round
from aggregation.server.services.results import released_sum, stored_sum

EDGE = 2**31


@pytest.mark.parametrize(
    ("values", "width"),
    [([0, 1, -1], 4), ([EDGE - 1, -EDGE], 4), ([EDGE, 0, 5], 8), ([-EDGE - 1, 3], 8), ([2**40, -(2**40)], 8)],
)
def test_a_sum_takes_four_bytes_a_word_where_it_fits(values: list[int], width: int) -> None:
    total = np.array(values, dtype=np.int64)
    stored = stored_sum(total)
    assert len(stored) == width * len(values)
    back = released_sum(stored, len(values))
    assert back.dtype == np.dtype("<i8")
    assert back.tolist() == values


def test_a_sum_of_the_rings_own_width_is_stored_as_it_lies() -> None:
    total = np.array([1, -2, 3], dtype="<i4")
    assert released_sum(stored_sum(total), 3).tolist() == [1, -2, 3]


@pytest.mark.django_db(databases=[ALIAS])
def test_looking_at_a_round_leaves_its_sum_where_it_is() -> None:
    with CaptureQueriesContext(connections[ALIAS]) as seen:
        list(Round.objects.filter(step="released"))
        Round.objects.filter(pk=1).first()
    assert seen.captured_queries
    assert not any('"sum"' in query["sql"] for query in seen.captured_queries)


def test_memory_is_given_back_where_the_system_can() -> None:
    memory.map_vectors()
    memory.trim()  # or what earlier tests left free would be filled first
    before = _resident()
    blocks = [bytes([1]) * 100_000 for _ in range(400)]
    full = _resident()
    keep = blocks[::50]
    del blocks
    memory.trim()
    assert full - before > 30_000_000
    assert _resident() - before < 15_000_000
    assert len(keep) == 8


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096
