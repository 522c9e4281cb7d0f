"""A suspended collective: every page says why and what it means for its reader, and no step there leads nowhere."""

from __future__ import annotations

import pytest
from django.urls import reverse

from collectives.errors import CollectiveError
from collectives.services import algorithms
from collectives.services import collectives as services
from marketplace.jobs import services as jobs
from marketplace.jobs.errors import OrderError
from tests.apps import cast
from tests.apps.cast import World

WHY = "A complaint is looked into."


@pytest.fixture
def suspended(world: World) -> World:
    services.suspend(actor=world.people["ada"], collective=world.collective, reason=WHY)
    world.collective.refresh_from_db()
    return world


def text(world: World, who: str, name: str, *args: object) -> str:
    return world.client(who).get(reverse(name, args=args)).content.decode()


@pytest.mark.parametrize("who", ["", "ivo", "carla", "charlie"])
def test_the_card_says_why_and_has_no_step_that_leads_nowhere(suspended: World, who: str) -> None:
    shown = text(suspended, who, "collective", suspended.collective.pk)
    assert WHY in shown
    assert "Nothing new begins here" in shown
    for step in ("subscribe", "order", "data-tool"):
        assert reverse(step, args=[suspended.collective.pk]) not in shown
    assert "Calculate" not in shown


def test_the_card_tells_a_subscriber_and_a_buyer_what_it_means_for_them(suspended: World) -> None:
    own = reverse("subscription", args=[suspended.link.pk])
    assert f'<a href="{own}">You can revoke it at any time.</a>' in text(
        suspended, "ivo", "collective", suspended.collective.pk
    )
    assert "A job of yours goes on" in text(suspended, "carla", "collective", suspended.collective.pk)
    assert "A job of yours goes on" not in text(suspended, "ivo", "collective", suspended.collective.pk)
    assert WHY in text(suspended, "ivo", "subscription", suspended.link.pk)


@pytest.mark.parametrize(("who", "step"), [("charlie", "subscribe"), ("carla", "order")])
def test_an_old_link_to_a_step_leads_to_the_reason(suspended: World, who: str, step: str) -> None:
    for send in (suspended.client(who).get, suspended.client(who).post):
        answer = send(reverse(step, args=[suspended.collective.pk]), follow=True)
        assert answer.redirect_chain == [(reverse("collective", args=[suspended.collective.pk]), 302)]
        assert WHY in answer.content.decode()


def test_an_order_by_program_is_refused_by_name_before_anything_else(suspended: World) -> None:
    body = {
        "collective_id": str(suspended.collective.pk),
        "manifest_hash": suspended.algorithm.manifest_hash,
        "budget": "1",
        "max_rounds": 1,
    }
    answer = suspended.client("carla").post("/api/v1/jobs", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "suspended")
    assert WHY in answer.json()["detail"]
    detail = suspended.client("").get(reverse("api-collective", args=[suspended.collective.pk])).json()
    assert (detail["status"], detail["status_reason"]) == ("suspended", WHY)


def test_an_order_placed_before_cannot_be_funded_and_its_page_says_why(suspended: World) -> None:
    shown = text(suspended, "carla", "job", suspended.order.job_id)
    assert WHY in shown
    assert 'data-verbs=""' in shown
    with pytest.raises(OrderError) as error:
        jobs.fund(order=suspended.order, actor=suspended.people["carla"])
    assert (error.value.code, error.value.status) == ("suspended", 409)


def test_nothing_is_announced_meanwhile(suspended: World) -> None:
    other = algorithms.submit(
        actor=suspended.people["aron"], manifest=cast.MANIFEST | {"name": "Another one"}
    )
    algorithms.approve(actor=suspended.people["ada"], algorithm=other)
    with pytest.raises(CollectiveError) as error:
        algorithms.announce(
            actor=suspended.people["alice"], collective=suspended.collective, algorithm=other, reason="Why."
        )
    assert error.value.code == "suspended"
    shown = text(suspended, "alice", "collective-announce", suspended.collective.pk)
    assert "Nothing can be announced" in shown
    assert "<form" not in shown.split("<main", 1)[1].split("</main>")[0]
