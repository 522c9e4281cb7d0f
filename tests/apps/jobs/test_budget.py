"""What a budget buys: whole visits, exactly, with the rest left over."""

from __future__ import annotations

import pytest

from collectives.models import Job
from tests.apps import cast
from tests.apps.cast import RATE, World


@pytest.fixture
def world(db: None) -> World:
    return cast.world()


@pytest.mark.parametrize(
    ("budget", "visits"),
    [
        (10_000 * 10**18, 2_000_000),
        (10_000 * 10**18 - 1, 1_999_999),
        (10_000 * 10**18 + RATE - 1, 2_000_000),
        (100 * RATE, 100),
        (101 * RATE - 1, 100),
    ],
)
def test_a_budget_allows_exactly_the_visits_it_pays(world: World, budget: int, visits: int) -> None:
    answer = world.client("carla").post(
        "/api/v1/jobs",
        {
            "collective_id": str(world.collective.pk),
            "manifest_hash": world.algorithm.manifest_hash,
            "budget": str(budget),
            "max_rounds": 100,
        },
        content_type="application/json",
    )
    assert answer.status_code == 201, answer.content
    assert answer.json()["budget"] == str(budget)
    assert Job.objects.get(pk=answer.json()["job_id"]).visits_budget == visits
