"""Answers that are findings: on the card, in the file, and an evaluation of a model that one ordered oneself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from collectives.models import Admission, Algorithm, Checkpoint, Job
from collectives.services import algorithms
from collectives.terms.algorithm import parse_manifest
from collectives.training import catalogue, outcome
from collectives.training.checkpoint import read_file, weights_to_bytes
from marketplace.jobs import model_card, services
from marketplace.jobs.errors import OrderError
from marketplace.jobs.models import Order
from tests.apps import cast
from tests.apps.cast import World


@pytest.fixture
def world(db: None) -> World:
    return cast.world()


def admitted(world: World, manifest: dict[str, Any]) -> Algorithm:
    found = algorithms.submit(actor=world.people["aron"], manifest=manifest)
    algorithms.approve(actor=world.people["ada"], algorithm=found)
    found.refresh_from_db()
    admission = algorithms.announce(
        actor=world.people["alice"], collective=world.collective, algorithm=found, reason="Wanted."
    )
    Admission.objects.filter(pk=admission.pk).update(status=Admission.Status.ACTIVE)
    return found


def ordered(world: World, algorithm: Algorithm, by: str = "carla", **more: Any) -> Order:
    return services.order(
        consumer=world.people[by],
        collective_id=world.collective.pk,
        manifest_hash=algorithm.manifest_hash,
        budget=10**18,
        max_rounds=1,
        **more,
    )


def answered(order: Order, mean: list[float], wallets: int) -> None:
    """The job's round 1, as `rounds` stores it."""
    job = Job.objects.get(pk=order.job_id)
    manifest, start = parse_manifest(job.algorithm.manifest), job.checkpoints.get()
    state = outcome.begin(manifest, np.frombuffer(bytes(start.weights), "<f4"))
    rule = {"optimiser": "adam", "learning_rate_micro": 1}
    state = outcome.advance(manifest, state, np.array(mean), wallets=wallets, noise=0.25, **rule)
    Checkpoint.objects.create(
        job=job,
        number=1,
        weights=weights_to_bytes(state.weights),
        moments=state.moments_to_bytes(),
        hash="ab" * 32,
        wallets=wallets,
    )


def test_a_query_shows_its_answer_on_the_card_and_in_the_file(world: World) -> None:
    query = catalogue.build("mean", cast.REQUIREMENT, inputs=["age", "hours"])
    order = ordered(world, admitted(world, query))
    assert model_card.build(order)["findings"] == {}
    answered(order, [0.5, -0.125], 120)

    card = model_card.build(order)
    assert card["findings"] == {"mean": [0.5, -0.125], "wallets": 120, "noise": 0.25}
    assert card["predicts"] == [] and card["algorithm"]["sends"] == "mean"
    client = world.client("carla")
    file = client.get(f"/api/v1/jobs/{order.job_id}/checkpoints/1").content
    _, number, weights, facts = read_file(file)
    assert (number, weights.tolist(), facts["findings"]["wallets"]) == (1, [0.5, -0.125], 120)
    page = client.get(f"/algorithms/{parse_manifest(query).hash}/")
    assert page.status_code == 200


def test_a_consumer_has_a_model_of_theirs_judged(world: World) -> None:
    judge = admitted(world, catalogue.evaluation_of(cast.MANIFEST, bins=4))
    client = world.client("carla")
    body = {
        "collective_id": str(world.collective.pk),
        "manifest_hash": judge.manifest_hash,
        "budget": str(10**18),
        "max_rounds": 1,
    }

    refused = client.post("/api/v1/jobs", body, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_model")
    named = {"judged": {"job_id": str(world.order.job_id), "number": 0}}
    taken = client.post("/api/v1/jobs", body | named, content_type="application/json")

    assert taken.status_code == 201, taken.content
    job = Job.objects.get(pk=taken.json()["job_id"])
    trained = Checkpoint.objects.get(job_id=world.order.job_id, number=0)
    assert bytes(job.checkpoints.get().weights) == bytes(trained.weights)


def test_a_model_of_somebody_else_is_not_judged(world: World) -> None:
    judge = admitted(world, catalogue.evaluation_of(cast.MANIFEST))
    for by, number in (("charlie", 0), ("carla", 9)):
        with pytest.raises(OrderError) as refused:
            ordered(world, judge, by, judged=(world.order.job_id, number))
        assert refused.value.code == "no_checkpoint"


def test_an_algorithm_that_asks_too_much_of_too_few_is_not_announced(world: World) -> None:
    wide = {**cast.MANIFEST, "layers": [{"op": "linear", "out": 300, "bias": True}, *cast.MANIFEST["layers"]]}
    with pytest.raises(Exception, match=r"numbers from sums of as few as 100 wallets.* to 235") as refused:
        admitted(world, wide)
    assert refused.value.code == "asks_too_much"
