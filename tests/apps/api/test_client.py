"""The client package against the real API: what a consumer, an owner and an author do with it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.utils import timezone

from collectives.models import Algorithm, Job, JobTransition, Round
from collectives.services import collectives as services
from collectives.training.checkpoint import read_file
from marketplace.client import Refused, base_units, in_tokens
from marketplace.jobs.models import Order
from tests.apps import cast
from tests.apps.api.conftest import Open
from tests.apps.cast import World


def test_a_consumer_finds_orders_and_orders_once(world: World, market: Open) -> None:
    carla = market("carla")
    (found,) = carla.collectives(field="sleep")
    assert (found.name, found.rate) == ("Sleep well", cast.RATE)
    card = carla.collective(found.id)
    assert [a.manifest_hash for a in card.algorithms] == [world.algorithm.manifest_hash]
    assert list(carla.collectives(field="income")) == []
    assert carla.terms(found.id)["document"]["name"] == "Sleep well"
    assert carla.algorithm(world.algorithm.manifest_hash).manifest == cast.MANIFEST
    before = Order.objects.count()
    wanted = {
        "collective": found.id,
        "algorithm": world.algorithm.manifest_hash,
        "budget": base_units("100"),
        "rounds": 3,
        "plan": {"cohort": 120},
        "stop_rule": {"metric": "accuracy", "value": 0.9},
    }
    job = carla.order(**wanted, key="mine")
    assert carla.order(**wanted, key="mine").id == job.id
    assert carla.order(**wanted).id != job.id
    assert Order.objects.count() == before + 2
    assert (job.state.budget, job.state.plan["cohort"], job.state.status) == (100 * 10**18, 120, "validated")
    assert [other.id for other in carla.jobs()][-1] == str(world.order.job_id)


def test_a_refusal_carries_code_sentence_and_fields(world: World, market: Open) -> None:
    wanted = {"collective": str(world.collective.pk), "algorithm": world.algorithm.manifest_hash}
    with pytest.raises(Refused) as caught:
        market("carla").order(**wanted, budget=1, rounds=3)
    assert (caught.value.code, caught.value.status) == ("budget_too_small", 400)
    assert "one round visits at least 100 wallets" in str(caught.value)
    with pytest.raises(Refused) as caught:
        market("carla").order(**wanted, budget=10**20, rounds=0)
    assert "max_rounds" in caught.value.fields
    with pytest.raises(Refused) as caught:
        market("ivo").order(**wanted, budget=10**20, rounds=3)
    assert caught.value.code == "not_a_consumer"
    with pytest.raises(Refused) as caught:
        market("charlie").job(str(world.order.job_id))
    assert caught.value.status == 404


def ended(world: World) -> Job:
    """Carla's job with two closed rounds behind it."""
    job = Job.objects.get(pk=world.order.job_id)
    now = timezone.now()
    for number, status in ((1, "posted"), (2, "abandoned")):
        Round.objects.create(
            job=job,
            number=number,
            status=status,
            joined=110,
            survivors=103,
            receipts=110,
            reason="" if status == "posted" else "too few",
            ended_at=now + timedelta(seconds=number),
        )
    JobTransition.objects.create(
        job=job, before="running", after="completed", reason="every round is in the model"
    )
    Job.objects.filter(pk=job.pk).update(status="completed", visits_earned=220)
    return job


def test_what_comes_of_a_job(world: World, market: Open, tmp_path: Path) -> None:
    job = market("carla").job(str(ended(world).pk))
    assert job.over
    assert job.state.spent == 220 * cast.RATE
    assert [(r.number, r.status, r.in_the_sum, r.dropped_out) for r in job.rounds()] == [
        (2, "abandoned", 103, 7),
        (1, "posted", 103, 7),
    ]
    assert next(job.events())["reason"] == "every round is in the model"
    (first,) = job.checkpoints()
    manifest, number, weights, _facts = read_file(
        job.download(first.number, tmp_path / "model.cssi").read_bytes()
    )
    assert (manifest.hash, number, len(weights)) == (
        world.algorithm.manifest_hash,
        0,
        world.algorithm.parameters,
    )
    job.report(0, "loss", 0.25)
    assert [(m["name"], m["value"]) for m in job.metrics()] == [("loss", 0.25)]
    assert job.card()["money"]["visits_paid"] == 220


def test_two_jobs_are_compared_and_anothers_is_not_there(world: World, market: Open) -> None:
    carla = market("carla")
    job = carla.job(str(ended(world).pk))
    other = carla.order(
        collective=str(world.collective.pk),
        algorithm=world.algorithm.manifest_hash,
        budget=10**20,
        rounds=3,
    )
    lines = {line["label"]: line for line in job.compare(other)}
    assert lines["Algorithm"]["same"]
    assert (lines["Visits paid"]["before"], lines["Visits paid"]["after"]) == ("220", "0")
    with pytest.raises(Refused) as caught:
        market("charlie")._connection.get(f"jobs/{job.id}/compare/{other.id}")
    assert caught.value.status == 404


def test_waiting_says_each_sentence_once_and_gives_up_in_time(world: World, market: Open) -> None:
    job = market("carla").job(str(world.order.job_id))
    said: list[str] = []
    with pytest.raises(TimeoutError, match="Checked"):
        job.wait(seconds=0.05, every=0.02, seen=lambda state: said.append(state.sentence))
    assert said == ["Checked"]
    Job.objects.filter(pk=world.order.job_id).update(status="stopped")
    assert job.wait().status == "stopped"


def test_an_owner_registers_changes_announces_and_sees_steps_only(world: World, market: Open) -> None:
    alice = market("alice")
    made = alice.register(
        name="Morning people",
        purpose="Learn who wakes up early.",
        task_description="A small model of mornings.",
        requirement=cast.REQUIREMENT,
        rate=cast.RATE,
    )
    assert {own.card.name for own in alice.my_collectives()} == {"Sleep well", "Morning people"}
    version = made.propose(purpose="Learn who wakes up early, and why.", rate=10**16)
    assert version["version"] == 2
    assert version["document"]["rate"] == str(10**16)
    assert [row["version"] for row in made.versions()] == [2, 1]
    said = made.announce(world.algorithm.manifest_hash, "To begin.")
    (row,) = made.announcements()
    assert row == said
    assert (row["status"], row["remaining"], row["enough"]) == ("announced", "none yet", False)
    assert row["delivered"] == "not counted yet"
    made.withdraw(row["id"])
    made.withdraw(row["id"])
    assert list(made.announcements()) == []
    assert list(made.jobs()) == list(made.rounds()) == []


def test_an_owner_decides_on_orders_and_sees_jobs_and_rounds(world: World, market: Open) -> None:
    services.propose_terms(actor=world.people["alice"], collective=world.collective, order_policy="approval")
    orders = [
        market("carla").order(
            collective=str(world.collective.pk),
            algorithm=world.algorithm.manifest_hash,
            budget=10**20,
            rounds=number,
            request="A study.",
        )
        for number in (1, 2)
    ]
    (own,) = market("alice").my_collectives()
    assert [row["job_id"] for row in own.orders()] == [job.id for job in orders]
    assert own.approve(orders[0].id)["status"] == "validated"
    assert own.return_order(orders[1].id, "Say more.")["status"] == "returned"
    assert list(own.orders()) == []
    ended(world)
    assert {row["job_id"] for row in own.jobs()} == {str(world.order.job_id), *(job.id for job in orders)}
    assert [r.number for r in own.rounds()] == [2, 1]


def test_an_author_submits_and_reads_what_the_review_said(world: World, market: Open) -> None:
    aron = market("aron")
    manifest = cast.MANIFEST | {"name": "Another one"}
    sent = aron.submit(manifest)
    assert (sent.status, sent.name) == ("submitted", "Another one")
    assert aron.submit(manifest).manifest_hash == sent.manifest_hash
    Algorithm.objects.filter(manifest_hash=sent.manifest_hash).update(status="returned", reason="Say why.")
    assert [row.reason for row in aron.my_algorithms() if row.name == "Another one"] == ["Say why."]
    assert [row.name for row in aron.algorithms()] == [world.algorithm.name], "only approved ones are public"
    with pytest.raises(Refused) as caught:
        aron.submit({"version": 1})
    assert caught.value.status == 400


@pytest.mark.parametrize("who", ["ivo", "charlie"])
def test_nobody_else_moves_an_owners_things(world: World, market: Open, who: str) -> None:
    connection = market(who)._connection
    base = f"collectives/{world.collective.pk}"
    for path in ("versions", "announcements", "orders", "jobs", "rounds"):
        with pytest.raises(Refused) as caught:
            connection.get(f"{base}/{path}")
        assert caught.value.status == 404, path
    for path, body in (
        ("versions", {"purpose": "Mine now."}),
        ("announcements", {"manifest_hash": world.algorithm.manifest_hash, "reason": "Mine."}),
        (f"announcements/{world.admission.pk}/withdraw", {}),
    ):
        with pytest.raises(Refused) as caught:
            connection.post(f"{base}/{path}", body)
        assert caught.value.status == 404, path
    assert world.collective.terms.count() == 1


def test_a_role_is_needed_to_register_and_to_submit(world: World, market: Open) -> None:
    for call in (
        lambda: market("ivo").submit(cast.MANIFEST),
        lambda: market("ivo").register(
            name="A", purpose="B", task_description="C", requirement=cast.REQUIREMENT, rate=cast.RATE
        ),
    ):
        with pytest.raises(Refused) as caught:
            call()
        assert (caught.value.code, caught.value.status) == ("role_missing", 403)


def test_an_element_that_terms_do_not_have_is_not_signed(world: World, market: Open) -> None:
    (own,) = market("alice").my_collectives()
    with pytest.raises(Refused) as caught:
        own.propose(purpos="A typing error.")
    assert caught.value.fields == {"purpos": ["Terms have no such element."]}
    with pytest.raises(Refused) as caught:
        own.withdraw(str(uuid.uuid4()))
    assert caught.value.code == "unknown_notice"


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("0", 0),
        ("120.5", 1205 * 10**17),
        (7, 7 * 10**18),
        ("0." + "0" * 17 + "1", 1),
        (Decimal("1e3"), 10**21),
    ],
)
def test_amounts_are_exact(text: str, units: int) -> None:
    assert base_units(text) == units
    assert base_units(in_tokens(units)) == units


@pytest.mark.parametrize("text", ["", "ten", "-1", "NaN", "Infinity", "0." + "0" * 18 + "1", "1e400"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no amount"):
        base_units(text)


def test_a_float_is_no_amount() -> None:
    with pytest.raises(TypeError, match="not exact"):
        base_units(0.1)
