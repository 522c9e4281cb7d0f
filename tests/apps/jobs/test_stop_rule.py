"""A job that stops by what its consumer reports: ordered on the page or by program, said everywhere, met once."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django.utils.translation import override

from collectives.models import Job
from marketplace.jobs import services
from marketplace.jobs.errors import OrderError
from marketplace.jobs.models import Order
from marketplace.jobs.stop_rule import StopRule
from tests.apps import cast
from tests.apps.cast import World

RULE = {"stop_metric": "Accuracy", "stop_side": "least", "stop_value": "0.9"}


@pytest.fixture
def world(db: None) -> World:
    return cast.world()


def limits(world: World, **changes: str) -> dict[str, str]:
    return {"algorithm": world.algorithm.manifest_hash, "budget": "100", "rounds": "5"} | RULE | changes


def placed(world: World, **changes: str) -> Order:
    url = reverse("order", args=[world.collective.pk])
    assert world.client("carla").post(url, limits(world, **changes)).status_code == 302
    order: Order = Order.objects.exclude(pk=world.order.pk).get()
    Job.objects.filter(pk=order.job_id).update(status=Job.Status.PAUSED)
    return order


def report(world: World, order: Order, name: str, value: float) -> str:
    services.report_metric(order=order, actor=world.people["carla"], checkpoint=0, name=name, value=value)
    return str(Job.objects.get(pk=order.job_id).status)


def test_the_job_stops_when_the_reported_metric_reaches_the_value(world: World) -> None:
    order = placed(world)
    assert report(world, order, "auc", 0.99) == "paused"
    assert report(world, order, "accuracy", 0.89) == "paused"
    with override("de"):  # whatever language the reporter reads: rows keep English
        assert report(world, order, "accuracy", 0.9) == "stopped"
    assert Job.objects.get(pk=order.job_id).reason == "as ordered: Accuracy is at least 0.9"
    assert report(world, order, "accuracy", 0.95) == "stopped"


def test_a_loss_stops_when_it_is_low_enough(world: World) -> None:
    order = placed(world, stop_metric="loss", stop_side="most", stop_value="0.2")
    assert report(world, order, "loss", 0.21) == "paused"
    assert report(world, order, "loss", 0.19) == "stopped"


def test_the_review_and_the_live_page_say_it_and_changing_keeps_it(world: World) -> None:
    client, url = world.client("carla"), reverse("order", args=[world.collective.pk])
    review = client.get(url, limits(world)).content.decode()
    assert "also when you report that Accuracy is at least 0.9" in review
    assert 'name="stop_metric" value="Accuracy"' in review
    link = review.split('<a href="?algorithm=')[1].split('"')[0].replace("&amp;", "&")
    again = client.get(f"{url}?algorithm={link}").content.decode()
    assert 'value="Accuracy"' in again
    assert 'value="0.9"' in again
    order = placed(world)
    assert (
        "The job stops when you report that Accuracy is at least 0.9."
        in client.get(reverse("job", args=[order.job_id])).content.decode()
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stop_value": ""}, "Say at which value the job stops"),
        ({"stop_metric": ""}, "Say which metric"),
        ({"stop_value": "NaN"}, "NaN is no number that can be used"),
        ({"stop_side": "about"}, "about"),
    ],
)
def test_half_a_rule_says_what_is_missing(world: World, changes: dict[str, str], words: str) -> None:
    url = reverse("order", args=[world.collective.pk])
    answer = world.client("carla").get(url, limits(world, **changes))
    assert answer.status_code == 422
    assert words in answer.content.decode()


def order_by_program(world: World, key: str, **body: Any) -> Any:
    sent = {
        "collective_id": str(world.collective.pk),
        "manifest_hash": world.algorithm.manifest_hash,
        "budget": str(100 * 10**18),
        "max_rounds": 5,
    }
    return world.client("carla").post(
        "/api/v1/jobs", sent | body, content_type="application/json", headers={"Idempotency-Key": key}
    )


def test_a_program_orders_it_too_and_the_rule_is_part_of_the_order(world: World) -> None:
    rule = {"metric": "auc", "value": 0.9}
    made = order_by_program(world, "one", stop_rule=rule)
    assert made.status_code == 201
    assert made.json()["stop_rule"] == rule | {"at_least": True}
    same = order_by_program(world, "one", stop_rule=rule)
    assert same.json()["job_id"] == made.json()["job_id"]
    other = order_by_program(world, "one", stop_rule=rule | {"value": 0.8})
    assert other.json()["code"] == "idempotency_key_reused"
    assert order_by_program(world, "two").json()["stop_rule"] is None


def test_a_rule_without_a_metric_or_with_no_finite_value_is_refused(world: World) -> None:
    for rule in (StopRule(metric=" ", value=1.0), StopRule(metric="auc", value=float("inf"))):
        with pytest.raises(OrderError) as error:
            services.order(
                consumer=world.people["carla"],
                collective_id=world.collective.pk,
                manifest_hash=world.algorithm.manifest_hash,
                budget=100 * 10**18,
                max_rounds=5,
                stop_rule=rule,
            )
        assert error.value.code == "bad_stop_rule"
