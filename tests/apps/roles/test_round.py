"""Whole rounds: both roles on loopback sockets, scripted wallets with the real secure aggregation client."""

from __future__ import annotations

import numpy as np
import pytest
from asgiref.sync import sync_to_async

from aggregation.server import models
from tests.apps.roles.world import World

pytestmark = pytest.mark.django_db(transaction=True, databases=["distributor", "aggregator"])


async def test_the_sum_of_a_round_is_the_plain_sum_and_every_visit_is_owed(world: World) -> None:
    await world.enrol(24)
    await world.open_round(1, cohort=24)
    state = await world.over(1)
    assert state["state"] == "released", state
    assert state["receipts"] == state["survivors"] == 24
    assert [bucket["ok"] for bucket in state["buckets"]] == [True] * len(state["buckets"])
    total, count = await world.sum(1)
    assert count == 24
    assert np.array_equal(total, world.plain_sum(1, world.wallets))
    assert await sync_to_async(models.Visit.objects.count)() == 24
