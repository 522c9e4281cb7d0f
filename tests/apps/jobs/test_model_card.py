"""The model card states facts of the job only, the same on the page, in the file and over REST; two jobs stand side by side."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from collectives.models import Job, Round
from collectives.services import collectives
from marketplace.jobs import model_card, services
from marketplace.jobs.models import Order
from marketplace.settlement.models import ConsumerWallet, Escrow
from tests.apps import cast
from tests.apps.cast import World


@pytest.fixture
def world(db: None) -> World:
    made = cast.world()
    job = Job.objects.get(pk=made.order.job_id)
    for number, survivors in enumerate((104, 120, 110), start=1):
        Round.objects.create(
            job=job,
            number=number,
            status="posted",
            joined=survivors + 2,
            survivors=survivors,
            ended_at=timezone.now(),
        )
    Round.objects.create(job=job, number=4, status="abandoned", joined=50, survivors=0)
    services.report_metric(
        order=made.order, actor=made.people["carla"], checkpoint=0, name="accuracy", value=0.9
    )
    return made


def second(world: World, **changes: Any) -> Order:
    values = {
        "consumer": world.people["carla"],
        "collective_id": world.collective.pk,
        "manifest_hash": world.algorithm.manifest_hash,
        "budget": 10**18,
        "max_rounds": 7,
        "plan": {"cohort": 150},
    }
    return services.order(**values | changes)


def test_the_card_counts_what_is_in_the_model(world: World) -> None:
    card = model_card.build(world.order)
    assert card["training"]["rounds"] == 3
    assert card["training"]["wallets_in_sums"] == {"least": 104, "median": 110, "most": 120}
    assert card["training"]["dropouts"] == 6
    assert card["reads"][0] == {"name": "age", "title": "Age in years"}
    assert card["privacy"]["epsilon"] is None
    assert card["algorithm"]["manifest_hash"] == world.algorithm.manifest_hash


def test_under_formal_terms_card_and_pages_say_both_epsilons(world: World) -> None:
    aggregate = model_card.build(world.order)["privacy"]
    assert (aggregate["rule"], "no epsilon is claimed" in aggregate["sentence"]) == ("filter", True)
    for row in world.collective.terms.all():
        type(row).objects.filter(pk=row.pk).update(document=row.document | {"privacy_level": "formal"})
    Round.objects.filter(number=2).update(stood_out=1)

    card = model_card.build(world.order)["privacy"]
    stated = card["epsilon"]
    assert 0 < stated["consumer"] < stated["operator"] <= 3
    assert card["rule"] == "sum"
    assert card["sentence"].count("ε ≤") == 2
    carla = world.client("carla")
    page = carla.get(reverse("result", args=[world.order.job_id])).content.decode()
    assert f"ε ≤ {stated['operator']:.2f} towards its operator" in page
    assert f"ε ≤ {stated['consumer']:.2f} towards the buyer and the chain" in page
    live = carla.get(reverse("job", args=[world.order.job_id])).content.decode()
    assert "Towards the buyer and the chain it is ε" in live
    assert "(1 bucket stood out)" in live
    assert recomputed(card["command"]) == [card["sentence"]]
    assert card["command"] in page
    with_visits = live.split('<code class="hash">python -m')[1].split("</code>")[0]
    said, so_far = recomputed(f"python -m{with_visits}")
    assert said == card["sentence"]
    assert re.search(r"After 3 visits, as wallets count: ε (\S+) towards", so_far)[1] in live  # type: ignore[index]


def recomputed(command: str) -> list[str]:
    """What the command prints, without the market."""
    words = command.removeprefix("python -m ").split()
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_card_keeps_the_terms_of_the_day_of_the_order(world: World) -> None:
    before = world.collective.terms.get().hash
    collectives.propose_terms(actor=world.people["alice"], collective=world.collective, rate=10**16)
    assert model_card.build(world.order)["consent"]["terms_hash"] == before


def test_a_settled_job_says_what_came_back(world: World) -> None:
    wallet = ConsumerWallet.objects.create(
        account=world.people["carla"], address="0x" + "11" * 20, sealed_key=b"x"
    )
    escrow = Escrow.objects.create(
        job_id=world.order.job_id,
        consumer=wallet,
        rate=10**16,
        budget=10**18,
        spent=4 * 10**17,
        expires=2**31,
    )
    address = reverse("result", args=[world.order.job_id])

    def said() -> str:
        return " ".join(world.client("carla").get(address).content.decode().split())

    assert "<dt>Comes back</dt><dd>0.6 OCEAN</dd>" in said()
    Escrow.objects.filter(pk=escrow.pk).update(status="closed", refunded=6 * 10**17)
    assert "<dt>Came back</dt><dd>0.6 OCEAN</dd>" in said()
    assert "Comes back" not in said()


def test_page_file_and_api_say_the_same(world: World) -> None:
    client = world.client("carla")
    page = client.get(reverse("result", args=[world.order.job_id])).content.decode()
    assert "104 to 120, median 110" in page
    assert "Age in years, Hours of sleep" in page
    saved = client.get(reverse("model-card", args=[world.order.job_id]))
    assert "attachment" in saved["Content-Disposition"]
    assert saved.json() == client.get(f"/api/v1/jobs/{world.order.job_id}/card").json()
    assert "people.example" not in saved.content.decode()


def test_a_stranger_gets_no_card(world: World) -> None:
    client = world.client("charlie")
    assert client.get(reverse("model-card", args=[world.order.job_id])).status_code == 404
    assert client.get(f"/api/v1/jobs/{world.order.job_id}/card").status_code == 404


def test_two_jobs_side_by_side(world: World) -> None:
    other = second(world)
    services.report_metric(order=other, actor=world.people["carla"], checkpoint=0, name="accuracy", value=0.8)
    url = reverse("compare", args=[world.order.job_id])
    page = world.client("carla").get(url, {"with": str(other.job_id)}).content.decode()
    assert "104 to 120, median 110" in page
    assert "accuracy, the other job" in page
    lines = {
        row["label"]: row
        for row in model_card.compare(model_card.build(world.order), model_card.build(other))
    }
    assert not lines["Wallets aimed at in a round"]["same"]
    assert lines["Algorithm"]["same"]


def test_comparing_needs_two_jobs_of_ones_own(world: World) -> None:
    url = reverse("compare", args=[world.order.job_id])
    assert "Only one job so far" in world.client("carla").get(url).content.decode()
    world.people["charlie"].grant("consumer")
    strange = second(world, consumer=world.people["charlie"])
    assert world.client("carla").get(url, {"with": str(strange.job_id)}).status_code == 404
    assert world.client("carla").get(url, {"with": "nonsense"}).status_code == 200
