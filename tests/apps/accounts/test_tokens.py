"""Tokens for programs: shown once, kept as a hash, act as their account and nobody else, and stop when deleted."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.settings import api_settings

from marketplace import throttles
from marketplace.accounts import tokens
from marketplace.accounts.models import ApiToken
from marketplace.throttles import ApiThrottle
from tests.apps.cast import World


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def made(world: World, who: str = "carla") -> str:
    page = world.client(who).post(reverse("api-tokens"), {"label": "Notebook"}).content.decode()
    found = re.search(r"cssi_[A-Za-z0-9_-]{43}", page)
    assert found is not None
    return found[0]


def test_a_token_is_shown_once_and_kept_as_a_hash(world: World) -> None:
    text = made(world)
    assert text not in world.client("carla").get(reverse("api-tokens")).content.decode()
    (row,) = ApiToken.objects.values()
    assert text not in str(row)
    assert text.removeprefix("cssi_") not in str(row)


def test_a_program_acts_as_the_account_without_a_session_or_csrf(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    body = {
        "collective_id": str(world.collective.pk),
        "manifest_hash": world.algorithm.manifest_hash,
        "budget": str(10**18),
        "max_rounds": 3,
    }
    answer = client.post("/api/v1/jobs", body, content_type="application/json", headers=bearer(made(world)))
    assert answer.status_code == 201
    assert "sessionid" not in answer.cookies
    assert ApiToken.objects.get().last_used_at is not None


def test_a_token_opens_no_page(world: World) -> None:
    assert Client().get(reverse("jobs"), headers=bearer(made(world))).status_code == 302


def test_another_accounts_things_are_not_there(world: World) -> None:
    answer = Client().get(f"/api/v1/jobs/{world.order.job_id}", headers=bearer(made(world, "charlie")))
    assert answer.status_code == 404


@pytest.mark.parametrize("text", ["", "cssi_", "cssi_" + "A" * 43, "ä", "a b c"])
def test_a_token_that_is_none_is_refused_with_a_sentence(world: World, text: str) -> None:
    answer = Client().get("/api/v1/jobs", headers=bearer(text))
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer.json()["detail"] == "This token does not work. Make a new one on your account page."


def test_a_deleted_token_and_a_closed_account_work_no_more(world: World) -> None:
    first, second = made(world), made(world, "charlie")
    row = ApiToken.objects.get(account=world.people["carla"])
    url = reverse("api-token-delete", args=[row.pk])
    assert world.client("charlie").post(url).status_code == 404
    assert world.client("carla").get(url).status_code == 405
    world.client("carla").post(url)
    world.people["charlie"].is_active = False
    world.people["charlie"].save()
    for text in (first, second):
        assert Client().get("/api/v1/jobs", headers=bearer(text)).status_code == 401


def test_an_account_holds_a_few_tokens_only(world: World) -> None:
    for number in range(tokens.MOST):
        tokens.make(account=world.people["carla"], label=str(number))
    answer = world.client("carla").post(reverse("api-tokens"), {"label": "One more"})
    assert answer.status_code == 422
    assert "delete one first" in answer.content.decode()


def test_asking_too_often_is_slowed_down_by_account(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ApiThrottle in api_settings.DEFAULT_THROTTLE_CLASSES
    monkeypatch.setattr(ApiThrottle, "THROTTLE_RATES", {"people": "3/min", "agents": "9/min"})
    monkeypatch.setattr(throttles.time, "time", lambda: 1_800_000_030.0)  # half a minute into a window
    headers = bearer(made(world))
    answers = [Client().get("/api/v1/jobs", headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3]["Content-Type"] == "application/problem+json"
    assert int(answers[3]["Retry-After"]) == 30
    assert Client().get("/api/v1/jobs", headers=bearer(made(world, "charlie"))).status_code == 200
    assert Client().get("/api/v1/server").status_code == 200, "what wallets ask is counted by itself"
    monkeypatch.setattr(ApiThrottle, "THROTTLE_RATES", {"people": "3/min", "agents": "2/min"})
    answers = [Client().get("/api/v1/server") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
