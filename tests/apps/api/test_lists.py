"""Lists of the API: pages, how many queries one costs, and refusals as problem documents."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.apps import cast
from tests.apps.api.conftest import Open
from tests.apps.cast import World
from tests.apps.crowd import MORE, crowd


def order(world: World) -> Any:
    return cast.jobs.order(
        consumer=world.people["carla"],
        collective_id=world.collective.pk,
        manifest_hash=world.algorithm.manifest_hash,
        budget=1000 * 10**18,
        max_rounds=3,
    )


def test_pages_hold_everything_once_and_in_order(world: World, market: Open) -> None:
    for _ in range(6):
        order(world)
    carla = market("carla")._connection
    sizes, seen, page = [], [], carla.get("jobs", limit=3)
    assert page["previous"] is None
    while True:
        sizes.append(len(page["results"]))
        seen += [job["job_id"] for job in page["results"]]
        if page["next"] is None:
            break
        assert page["next"].startswith("http://testserver/api/v1/jobs?cursor=")
        page = carla._json("GET", page["next"].removeprefix("http://testserver"))
    assert sizes == [3, 3, 1]
    ids = [str(pk) for pk in world.people["carla"].orders.values_list("job_id", flat=True)]
    assert seen == ids


def test_a_catalogue_in_pages_keeps_its_filters(world: World, market: Open) -> None:
    for number in range(4):
        cast.register(world.people["alice"], f"Question {number}")
    found = list(market("carla")._connection.pages("collectives", search="question", limit=2, sort="newest"))
    assert [row["name"] for row in found] == [f"Question {n}" for n in (3, 2, 1, 0)]


@pytest.mark.parametrize("limit", ["0", "-1", "x", "100000", ""])
def test_an_odd_limit_is_the_usual_one(world: World, limit: str) -> None:
    answer = Client().get("/api/v1/collectives", {"limit": limit})
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == 1


def test_a_cursor_that_is_none_is_a_problem(world: World) -> None:
    answer = world.client("carla").get("/api/v1/jobs?cursor=nonsense")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


LISTS = [
    ("collectives", ""),
    ("algorithms", ""),
    ("jobs", "carla"),
    ("my/collectives", "alice"),
    ("my/algorithms", "aron"),
    ("collectives/{collective}/versions", "alice"),
    ("collectives/{collective}/announcements", "alice"),
    ("collectives/{collective}/jobs", "alice"),
    ("collectives/{collective}/rounds", "alice"),
    ("collectives/{collective}/orders", "alice"),
    ("collectives/{collective}/settlement", "alice"),
    ("jobs/{job}/rounds", "carla"),
    ("jobs/{job}/events", "carla"),
    ("jobs/{job}/checkpoints", "carla"),
    ("jobs/{job}/metrics", "carla"),
    ("funds/transactions", "carla"),
    ("models", "carla"),
]


def test_lists_cost_the_same_queries_for_one_and_for_many(world: World) -> None:
    clients = {who: world.client(who) for who in ("", "carla", "alice", "aron")}

    def cost(path: str, who: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            answer = clients[who].get(
                f"/api/v1/{path.format(collective=world.collective.pk, job=world.order.job_id)}"
            )
        assert answer.status_code == 200, answer.content
        return len(queries)

    crowd(world)
    before = {path: cost(path, who) for path, who in LISTS}
    crowd(world, MORE)
    after = {path: cost(path, who) for path, who in LISTS}
    assert {path: (before[path], after[path]) for path in before if after[path] > before[path]} == {}
    assert max(after.values()) <= 14, after


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("get", "nothing-here", 404, "not_found"),
        ("get", "jobs", 401, "not_authenticated"),
        ("delete", "collectives", 405, "method_not_allowed"),
        ("get", "collectives/00000000-0000-0000-0000-000000000001", 404, "unknown_collective"),
        ("get", "algorithms/" + "0" * 64, 404, "unknown_algorithm"),
        ("get", "collectives?cohort=few", 400, "invalid"),
    ],
)
def test_every_refusal_is_a_problem_document(
    db: None, method: str, path: str, status: int, code: str
) -> None:
    answer = getattr(Client(), method)(f"/api/v1/{path}")
    body = answer.json()
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert (body["code"], body["status"]) == (code, status)
    assert body["detail"].endswith((".", ")")), body


def test_what_cannot_be_answered_in_the_wanted_form_is_a_problem_too(world: World) -> None:
    answer = Client().get("/api/v1/collectives", headers={"Accept": "text/csv"})
    assert answer.status_code == 406
    assert answer["Content-Type"] == "application/problem+json"
    body = {"collective_id": "x"}
    answer = world.client("carla").post("/api/v1/jobs", body)  # a form, not JSON
    assert answer.status_code == 415
    assert answer["Content-Type"] == "application/problem+json"
