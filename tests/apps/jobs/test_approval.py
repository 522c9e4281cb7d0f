"""Where the terms say that the owner approves orders: asked, approved or returned, and nothing charged before."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from collectives.errors import CollectiveError
from collectives.models import Collective, Job
from collectives.services import algorithms
from collectives.services import jobs as services
from marketplace.jobs import services as orders
from marketplace.jobs.errors import OrderError
from marketplace.jobs.models import Order
from tests.apps import cast
from tests.apps.cast import World

REQUEST = "The sleep laboratory of a hospital; we want to plan a study."


@pytest.fixture
def world(db: None) -> World:
    return cast.world()


@pytest.fixture
def careful(world: World) -> Collective:
    """Alice's second collective, whose orders she approves."""
    made = cast.register(world.people["alice"], "Careful sleep", order_policy="approval")
    algorithms.announce(
        actor=world.people["alice"], collective=made, algorithm=world.algorithm, reason="Try."
    )
    return made


def ask(world: World, careful: Collective, who: str = "carla", **changes: Any) -> Order:
    values = {
        "consumer": world.people[who],
        "collective_id": careful.pk,
        "manifest_hash": world.algorithm.manifest_hash,
        "budget": 100 * 10**18,
        "max_rounds": 5,
        "request": REQUEST,
    }
    return orders.order(**values | changes)


def status(order: Order) -> str:
    return Job.objects.get(pk=order.job_id).status


def test_an_order_waits_and_cannot_be_funded(world: World, careful: Collective) -> None:
    order = ask(world, careful)
    assert status(order) == "approval"
    with pytest.raises(OrderError, match="not approved this order yet"):
        orders.fund(order=order, actor=world.people["carla"])


def test_an_order_must_say_who_asks(world: World, careful: Collective) -> None:
    with pytest.raises(OrderError, match="say in a sentence or two who you are"):
        ask(world, careful, request="  ")
    assert not Job.objects.filter(collective=careful).exists()


def test_the_owners_own_order_waits_for_nobody(world: World, careful: Collective) -> None:
    world.people["alice"].grant("consumer")
    assert status(ask(world, careful, "alice", request="")) == "validated"


def test_approving_lets_it_be_funded_and_repeats_without_change(world: World, careful: Collective) -> None:
    order = ask(world, careful)
    for _ in range(2):
        services.approve(actor=world.people["alice"], job_id=order.job_id)
    assert status(order) == "validated"
    with pytest.raises(CollectiveError, match="approved already"):
        services.return_(actor=world.people["alice"], job_id=order.job_id, reason="Too late.")


def test_returning_needs_a_reason_and_is_for_good(world: World, careful: Collective) -> None:
    order = ask(world, careful)
    with pytest.raises(CollectiveError, match="Say why"):
        services.return_(actor=world.people["alice"], job_id=order.job_id, reason=" ")
    services.return_(
        actor=world.people["alice"], job_id=order.job_id, reason="We take hospitals only in May."
    )
    assert status(order) == "returned"
    with pytest.raises(CollectiveError, match="was returned"):
        services.approve(actor=world.people["alice"], job_id=order.job_id)
    with pytest.raises(OrderError, match="We take hospitals only in May"):
        orders.fund(order=order, actor=world.people["carla"])
    orders.advance_orders()
    order.refresh_from_db()
    assert order.closed


@pytest.mark.parametrize("who", ["carla", "charlie", "ivo"])
def test_only_the_owner_or_an_administrator_decides(world: World, careful: Collective, who: str) -> None:
    order = ask(world, careful)
    with pytest.raises(CollectiveError, match="no such order"):
        services.approve(actor=world.people[who], job_id=order.job_id)
    assert status(order) == "approval"
    services.approve(actor=world.people["ada"], job_id=order.job_id)
    assert status(order) == "validated"


def test_who_ordered_may_take_the_order_back(world: World, careful: Collective) -> None:
    order = ask(world, careful)
    orders.stop(order=order, actor=world.people["carla"])
    assert status(order) == "returned"


def test_the_owner_decides_in_the_console(world: World, careful: Collective) -> None:
    first, second = ask(world, careful), ask(world, careful)
    client = world.client("alice")
    overview = client.get(reverse("collective-console", args=[careful.pk])).content.decode()
    assert "2 orders wait for you" in overview
    page = client.get(reverse("collective-orders", args=[careful.pk])).content.decode()
    assert REQUEST in page
    assert "carla@" not in page
    client.post(reverse("order-approve", args=[careful.pk, first.job_id]))
    refused = client.post(reverse("order-return", args=[careful.pk, second.job_id]))
    assert refused.status_code == 422
    assert "the reason is shown to who ordered" in refused.content.decode()
    client.post(
        reverse("order-return", args=[careful.pk, second.job_id]), {f"{second.job_id}-reason": "Not now."}
    )
    assert (status(first), status(second)) == ("validated", "returned")
    page = world.client("carla").get(reverse("job", args=[second.job_id])).content.decode()
    assert "Not now." in page
    assert '<div data-verb="fund" hidden>' in page


def test_a_strangers_order_cannot_be_decided_through_ones_own_collective(
    world: World, careful: Collective
) -> None:
    order = ask(world, careful)
    own = cast.register(world.people["charlie"], "Charlie's", order_policy="approval")
    client = world.client("charlie")
    for place in (own.pk, careful.pk):
        assert client.post(reverse("order-approve", args=[place, order.job_id])).status_code == 404
    assert status(order) == "approval"


def test_the_form_asks_who_one_is(world: World, careful: Collective) -> None:
    client = world.client("carla")
    url = reverse("order", args=[careful.pk])
    chosen = {"algorithm": world.algorithm.manifest_hash, "budget": "100", "rounds": "5", "cohort": ""}
    page = client.get(url, chosen).content.decode()
    assert "Ask the owner" in page
    assert "Fund escrow and start" not in page
    assert client.post(url, chosen).status_code == 422
    answer = client.post(url, chosen | {"request": REQUEST}, follow=True)
    assert "nothing was charged" not in answer.content.decode()
    assert "The owner decides on it" in answer.content.decode()
    assert Job.objects.get(collective=careful).request == REQUEST


def test_the_owner_decides_over_rest(world: World, careful: Collective) -> None:
    first, second = ask(world, careful), ask(world, careful)
    base = f"/api/v1/collectives/{careful.pk}/orders"
    client = world.client("alice")
    listed = client.get(base).json()["results"]
    assert [row["job_id"] for row in listed] == [str(first.job_id), str(second.job_id)]
    assert listed[0]["request"] == REQUEST
    assert client.post(f"{base}/{first.job_id}/approve").json()["status"] == "validated"
    missing = client.post(f"{base}/{second.job_id}/return", {}, content_type="application/json")
    assert missing.status_code == 400
    given = {"reason": "Not now."}
    answer = client.post(f"{base}/{second.job_id}/return", given, content_type="application/json")
    assert answer.json()["status"] == "returned"
    assert world.client("charlie").get(base).status_code == 404
    assert world.client("").get(base).status_code == 401


def test_an_administrator_decides_in_the_admin(world: World, careful: Collective) -> None:
    first, second = ask(world, careful), ask(world, careful)
    client, url = world.client("ada"), reverse("admin:collectives_job_changelist")
    client.post(url, {"action": "approve_order", "_selected_action": [str(first.job_id)]})
    client.post(url, {"action": "return_order", "_selected_action": [str(second.job_id)]})
    assert (status(first), status(second)) == ("validated", "approval")
    client.post(
        url, {"action": "return_order", "_selected_action": [str(second.job_id)], "reason": "Suspicious."}
    )
    assert status(second) == "returned"
