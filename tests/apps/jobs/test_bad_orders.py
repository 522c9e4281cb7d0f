"""Ordering with what cannot be, by form and by API: a sentence that says what to do, no failure, and nothing changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from marketplace.settlement.forms import TokensField
from tests.apps import cast
from tests.apps.cast import World
from tests.apps.pages.test_permissions import snapshot

HASH = "00" * 32


@pytest.fixture
def world(db: None) -> World:
    return cast.world()


def good(world: World) -> dict[str, Any]:
    return {
        "collective_id": str(world.collective.pk),
        "manifest_hash": world.algorithm.manifest_hash,
        "budget": str(100 * 10**18),
        "max_rounds": 5,
    }


ORDERS: dict[str, tuple[Any, int, str]] = {
    "no body": ({}, 400, "fields"),
    "a list": ([1], 400, "fields"),
    "no collective": ({"collective_id": "x"}, 400, "valid UUID"),
    "an unknown collective": ({"collective_id": str(cast.uuid_of_nobody())}, 404, "no such collective"),
    "an unknown algorithm": ({"manifest_hash": HASH}, 404, "no such collective or algorithm"),
    "a hash that is none": ({"manifest_hash": "x"}, 400, "manifest_hash"),
    "a budget below one round": ({"budget": "1"}, 400, "one round visits at least 100 wallets at 0.005 each"),
    "a budget of nothing": ({"budget": "0"}, 400, "budget"),
    "a negative budget": ({"budget": "-5"}, 400, "budget"),
    "a budget with a point": ({"budget": "0.5"}, 400, "budget"),
    "a budget as words": ({"budget": "ten"}, 400, "budget"),
    "a budget as an object": ({"budget": {}}, 400, "budget"),
    "a budget beyond money": ({"budget": "9" * 39}, 400, "budget"),
    "a budget beyond visits": ({"budget": "9" * 38}, 400, "lower the budget"),
    "no rounds": ({"max_rounds": 0}, 400, "max_rounds"),
    "rounds as words": ({"max_rounds": "many"}, 400, "max_rounds"),
    "too many rounds": ({"max_rounds": 10**30}, 400, "max_rounds"),
    "null": ({"max_rounds": None}, 400, "max_rounds"),
}


def problem(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["code"]
    assert body["status"] == status
    assert body["detail"].endswith(".")
    text = answer.content.decode()
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize("name", ORDERS)
def test_an_order_by_api_that_cannot_be(world: World, name: str) -> None:
    changes, status, words = ORDERS[name]
    body = changes if not changes or isinstance(changes, list) else good(world) | changes
    client = world.client("carla")
    before = snapshot()
    answer = client.post("/api/v1/jobs", body, content_type="application/json")
    assert words in problem(answer, status)
    assert snapshot() == before


BODIES = {
    "nothing": b"",
    "deep": b"[" * 100_000,
    "deep and whole": b"[" * 100_000 + b"]" * 100_000,
    "half an object": b'{"budget": ',
    "not UTF-8": b'{"budget": "\xff"}',
    "a constant that is no JSON": b'{"budget": NaN}',
    "a number too long": b'{"budget": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", ["jobs", "jobs/{job}/metrics"])
def test_a_body_that_is_not_json(world: World, name: str, path: str) -> None:
    client = world.client("carla")
    before = snapshot()
    url = "/api/v1/" + path.format(job=world.order.job_id)
    said = problem(client.post(url, BODIES[name], content_type="application/json"), 400)
    assert any(words in said for words in ("JSON object", "fields", "Send a flatter one"))
    assert snapshot() == before


def test_another_kind_of_body_is_named(world: World) -> None:
    answer = world.client("carla").post("/api/v1/jobs", "a=b", content_type="text/csv")
    assert "text/csv" in problem(answer, 415)


METRICS: dict[str, tuple[dict[str, Any], int, str]] = {
    "an unknown checkpoint": ({"checkpoint": 7}, 404, "no checkpoint 7"),
    "a negative checkpoint": ({"checkpoint": -1}, 400, "checkpoint"),
    "no name": ({"name": ""}, 400, "name"),
    "a long name": ({"name": "x" * 41}, 400, "name"),
    "a value that is a word": ({"value": "good"}, 400, "value"),
    "a value that is endless": ({"value": 1e400}, 400, ""),
}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_that_cannot_be(world: World, name: str) -> None:
    changes, status, words = METRICS[name]
    body = {"checkpoint": 0, "name": "accuracy", "value": 0.5} | changes
    client = world.client("carla")
    before = snapshot()
    text = json.dumps(body).replace("Infinity", "1e400")
    answer = client.post(f"/api/v1/jobs/{world.order.job_id}/metrics", text, content_type="application/json")
    assert words in problem(answer, status)
    assert snapshot() == before


@pytest.mark.parametrize("verb", ["fund", "stop"])
def test_another_persons_or_no_job_is_not_there(world: World, verb: str) -> None:
    for client, job in ((world.client("charlie"), world.order.job_id), (world.client("carla"), HASH[:8])):
        before = snapshot()
        answer = client.post(f"/api/v1/jobs/{job}/{verb}", {}, content_type="application/json")
        assert answer.status_code == 404
        assert snapshot() == before


def test_the_signed_out_and_other_roles_order_nothing(world: World) -> None:
    before = snapshot()
    for client, status in ((Client(), 401), (world.client("ivo"), 403)):
        answer = client.post("/api/v1/jobs", good(world), content_type="application/json")
        assert answer.status_code == status
        assert answer.json()["detail"]
    assert snapshot()["jobs.Order"] == before["jobs.Order"]


FORMS: dict[str, tuple[dict[str, str], str]] = {
    "a budget below one round": ({"budget": "0.4"}, "Enter 0.5 or more"),
    "a budget beyond everything": ({"budget": "1e30"}, "At most 1,000,000,000,000,000."),
    "a budget with nineteen places": ({"budget": "1.0000000000000000001"}, "At most 18 places"),
    "a budget that is not a number": ({"budget": "NaN"}, "Write an amount such as 120 or 0.5."),
    "a budget in words": ({"budget": "ten"}, "Write an amount such as 120 or 0.5."),
    "a negative budget": ({"budget": "-1"}, "An amount is 0 or more; you wrote -1."),
    "no rounds": ({"rounds": "0"}, "At least 1; you wrote 0."),
    "rounds in words": ({"rounds": "x"}, "whole number"),
    "a hash that is none": ({"algorithm": "<script>"}, "Choose one of the listed algorithms."),
    "a text with a zero byte": ({"algorithm": "a\x00"}, "Choose one of the listed algorithms."),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("verb", ["get", "post"])
def test_an_order_by_form_that_cannot_be(world: World, name: str, verb: str) -> None:
    changes, words = FORMS[name]
    values = {"algorithm": world.algorithm.manifest_hash, "budget": "100", "rounds": "5"} | changes
    client = world.client("carla")
    before = snapshot()
    answer = getattr(client, verb)(reverse("order", args=[world.collective.pk]), values)
    assert answer.status_code in ((422,) if verb == "post" else (200, 422))
    assert words in answer.content.decode()
    assert snapshot() == before


QUERIES = [
    "/collectives/?page=x",
    "/collectives/?page=-1",
    "/collectives/?page=99999999999999999999",
    "/collectives/?q=%FF%00",
    "/collectives/?search=%FF%00",
    "/collectives/?rate=x&assurance=x",
    "/api/v1/collectives?search=%00",
    "/jobs/?page=x",
    "/funds/?page=x",
]


@pytest.mark.parametrize("url", QUERIES)
def test_odd_addresses_are_answered(world: World, url: str) -> None:
    status = world.client("carla").get(url).status_code
    assert status in ((400,) if url.startswith("/api/") else (200, 404))


def test_an_amount_is_exact_to_its_last_digit() -> None:
    """Of 33 digits; the usual decimal arithmetic keeps 28."""
    assert TokensField().clean("123456789012345.123456789012345678") == 123456789012345123456789012345678
