"""Ordering by program: the plan, the idempotency key, pausing."""

from __future__ import annotations

from typing import Any

import pytest

from collectives.models import Job
from marketplace.jobs.models import Order
from tests.apps import cast
from tests.apps.cast import World


@pytest.fixture
def world(db: None) -> World:
    return cast.world()


def post(world: World, body: dict[str, Any], who: str = "carla", **headers: str) -> Any:
    values = {
        "collective_id": str(world.collective.pk),
        "manifest_hash": world.algorithm.manifest_hash,
        "budget": str(100 * 10**18),
        "max_rounds": 5,
    }
    return world.client(who).post(
        "/api/v1/jobs", values | body, content_type="application/json", headers=headers
    )


def test_a_plan_may_differ_from_the_default_in_parts(world: World) -> None:
    wanted = {"cohort": 120, "learning_rate_micro": 50_000, "phase_seconds": {"unmask": 90}}
    answer = post(world, {"plan": wanted})
    assert answer.status_code == 201
    plan = answer.json()["plan"]
    assert plan["cohort"] == 120
    assert plan["learning_rate_micro"] == 50_000
    assert plan["phase_seconds"]["unmask"] == 90
    assert plan["phase_seconds"]["advertise"] == 60
    assert Job.objects.get(pk=answer.json()["job_id"]).plan == plan


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"cohort": 99}, "at least 100 wallets"),
        ({"cohorts": 130}, "no such part"),
        ({"bucket_size": 10}, "smallest bucket"),
        ({"optimiser": "magic"}, "not a valid choice"),
        ({"phase_seconds": {"nap": 5}}, "must name"),
        ({"cohort": "many"}, "valid integer"),
        ([], "Expected a dictionary"),
    ],
)
def test_a_plan_that_cannot_be_changes_nothing(world: World, plan: Any, words: str) -> None:
    before = Order.objects.count()
    answer = post(world, {"plan": plan})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert words in answer.content.decode()
    assert Order.objects.count() == before


def test_the_same_key_orders_once(world: World) -> None:
    before = Order.objects.count()
    first = post(world, {}, **{"Idempotency-Key": "order-1"})
    again = post(world, {}, **{"Idempotency-Key": "order-1"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert Order.objects.count() == before + 1


def test_a_key_stands_for_one_order_of_one_consumer(world: World) -> None:
    post(world, {}, **{"Idempotency-Key": "order-1"})
    other = post(world, {"max_rounds": 6}, **{"Idempotency-Key": "order-1"})
    assert other.status_code == 409
    assert other.json()["code"] == "idempotency_key_reused"
    assert post(world, {}, "charlie", **{"Idempotency-Key": "order-1"}).status_code == 201
    assert post(world, {}, **{"Idempotency-Key": "ä" * 81}).status_code == 400


def test_without_a_key_each_order_is_its_own(world: World) -> None:
    assert post(world, {}).json()["job_id"] != post(world, {}).json()["job_id"]


def test_a_running_job_is_paused_and_goes_on(world: World) -> None:
    job = f"/api/v1/jobs/{world.order.job_id}"
    Job.objects.filter(pk=world.order.job_id).update(status="running")
    assert world.client("carla").post(f"{job}/pause").status_code == 200
    assert Job.objects.get(pk=world.order.job_id).pause_requested
    assert world.client("carla").post(f"{job}/resume").status_code == 200
    assert not Job.objects.get(pk=world.order.job_id).pause_requested
    assert world.client("charlie").post(f"{job}/pause").status_code == 404


def test_the_schema_describes_orders_and_keys(world: World) -> None:
    schema = (
        world.client("").get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    )
    placing = schema["paths"]["/api/v1/jobs"]["post"]
    assert [p["name"] for p in placing["parameters"] if p["in"] == "header"] == ["Idempotency-Key"]
    order = schema["components"]["schemas"]["OrderIn"]["properties"]
    assert set(order) == {
        "collective_id",
        "manifest_hash",
        "budget",
        "max_rounds",
        "judged",
        "plan",
        "request",
        "stop_rule",
        "plateau",
    }
