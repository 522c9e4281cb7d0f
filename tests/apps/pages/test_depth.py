"""Bodies too deep or too large for a parser are answered with a sentence, at the API and in the forms that take JSON."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.apps.cast import World

DEEP = "[" * 50_000


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/wallets/pair", "/api/v1/wallets/links"])
def test_a_deep_body_is_refused(world: World, path: str) -> None:
    answer = world.client("carla").post(path, DEEP, content_type="application/json")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "too_deep"
    assert answer.json()["detail"] == "The document is nested more than 32 deep. Send a flatter one."


def test_a_deep_subscription_is_refused(world: World) -> None:
    url = f"/api/v1/collectives/{world.collective.pk}/subscriptions"
    assert world.client("").post(url, DEEP, content_type="application/json").json()["code"] == "too_deep"


def test_a_large_body_is_refused(world: World) -> None:
    body = '{"a": "' + "x" * (2 * 1024 * 1024) + '"}'
    answer = world.client("carla").post("/api/v1/jobs", body, content_type="application/json")
    assert answer.status_code == 413
    assert answer.json()["detail"] == "The body is larger than 2048 KiB."


def test_a_deep_manifest_is_refused_in_the_form(world: World) -> None:
    answer = world.client("aron").post(reverse("algorithm-submit"), {"text": '{"a":' * 2000})
    assert answer.status_code == 422
    assert "nested more than 32 deep" in answer.content.decode()
