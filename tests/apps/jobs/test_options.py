"""An adaptive clip, coins and a plateau rule are ordered on the page as by program, said wherever the job is shown, and their cost before."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from django.urls import reverse

from collectives.models import Algorithm, Checkpoint, Job
from collectives.services import algorithms
from collectives.terms.algorithm import output_length, parse_manifest, stack
from collectives.training.outcome import advance, begin
from collectives.training.statistics import LOSS_UNIT
from marketplace.jobs import model_card, services
from marketplace.jobs.models import Order
from marketplace.jobs.options import Options
from marketplace.jobs.plateau import Plateau
from tests.apps import cast
from tests.apps.cast import World

CHOSEN = {"clip_share": "90", "poisson": "on", "judge_every": "2", "judge_window": "4"}
GERMAN = {"Accept-Language": "de"}


@pytest.fixture
def world(db: None) -> World:
    return cast.world()


@pytest.fixture
def judge(world: World) -> Algorithm:
    return announced(world, {"kind": "evaluation", "clip_micro": 1_732_051, "bins": 4})


def announced(world: World, output: dict[str, Any], **changes: Any) -> Algorithm:
    asked = {key: value for key, value in cast.MANIFEST.items() if key != "training"}
    manifest = asked | {"name": "How well it predicts", "output": output} | changes
    made = algorithms.submit(actor=world.people["aron"], manifest=manifest)
    algorithms.approve(actor=world.people["ada"], algorithm=made)
    algorithms.announce(
        actor=world.people["alice"], collective=world.collective, algorithm=made, reason="To judge."
    )
    return made


def limits(world: World, **changes: str) -> dict[str, str]:
    return {"algorithm": world.algorithm.manifest_hash, "budget": "100", "rounds": "20"} | changes


def page(world: World, values: dict[str, str], **headers: str) -> str:
    url = reverse("order", args=[world.collective.pk])
    return str(world.client("carla").get(url, values, headers=headers).content.decode())


def placed(world: World, values: dict[str, str]) -> Order:
    url = reverse("order", args=[world.collective.pk])
    answer = world.client("carla").post(url, values)
    assert answer.status_code == 302, answer.content.decode()
    return Order.objects.exclude(pk=world.order.pk).get()


def test_the_three_are_ordered_on_the_page(world: World, judge: Algorithm) -> None:
    order = placed(world, limits(world, judge=judge.manifest_hash, **CHOSEN))
    plan = Job.objects.get(pk=order.job_id).plan
    assert (plan["clip_quantile_ppm"], plan["poisson"]) == (900_000, True)
    assert (order.judge_hash, order.judge_every, order.judge_window) == (judge.manifest_hash, 2, 4)


def test_what_a_field_is_for_is_said_in_the_language_of_the_reader(world: World) -> None:
    asked = {"algorithm": world.algorithm.manifest_hash}
    assert "What is not spent comes back to the last unit." in page(world, asked)
    assert "Was nicht ausgegeben wird, kommt bis zur letzten Einheit zu dir zurück." in page(
        world, asked, **GERMAN
    )


def test_the_fields_name_the_defaults_that_the_rule_has() -> None:
    for name, default in (("judge_every", Plateau.every), ("judge_window", Plateau.window)):
        field = Options.base_fields[name]
        assert field.initial == default
        assert str(field.help_text).endswith(f"Empty: {default}.")


def test_who_chooses_nothing_gets_the_default(world: World, judge: Algorithm) -> None:
    order = placed(world, limits(world))
    job = Job.objects.get(pk=order.job_id)
    terms = world.collective.terms.get().document
    assert job.plan == services.default_plan(world.collective, terms).to_json()
    assert not order.judge_hash


def test_numbers_of_the_rule_may_be_left_out(world: World, judge: Algorithm) -> None:
    order = placed(world, limits(world, judge=judge.manifest_hash, judge_every="", judge_window=""))
    assert (order.judge_every, order.judge_window) == (5, 3)


def test_what_was_chosen_survives_the_review_and_the_way_back(world: World, judge: Algorithm) -> None:
    review = page(world, limits(world, judge=judge.manifest_hash, **CHOSEN))
    for sentence in (
        "follows the wallets: 90 % of updates stay whole",
        "each by a coin of its own",
        "other wallets judge the model every 2 rounds by “How well it predicts”; the job stops when 4 evaluations are on average no better",
    ):
        assert sentence in review
    back = review.split('<a href="?algorithm=')[1].split('"')[0].replace("&amp;", "&")
    again = world.client("carla").get(f"{reverse('order', args=[world.collective.pk])}?algorithm={back}")
    text = again.content.decode()
    assert '<details class="fold" open>' in text
    assert re.search(r'name="clip_share" value="90"', text)
    assert re.search(r'name="poisson"[^>]* checked', text)
    assert f'<option value="{judge.manifest_hash}" selected>' in text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', review))
    hidden.pop("csrfmiddlewaretoken", None)
    order = placed(world, hidden)
    assert Job.objects.get(pk=order.job_id).plan["poisson"] is True
    assert order.judge_window == 4


def test_the_review_says_what_evaluations_cost_besides_the_budget(world: World, judge: Algorithm) -> None:
    """100 tokens at 0.005 are 20,000 visits, at least 100 a round; 20 rounds at most: ten evaluations of 143 visits."""
    review = page(world, limits(world, judge=judge.manifest_hash, judge_every="2"))
    assert "Evaluations by other wallets: at most 10, each at most 0.715" in review
    assert "107.15 OCEAN" in re.sub(r"<[^>]+>", " ", review).split("In all")[1][:40]
    few = page(world, limits(world, judge=judge.manifest_hash, judge_every="2", budget="3"))
    assert "Evaluations by other wallets: at most 3, each" in few  # 600 visits pay six rounds
    assert "Evaluations by other wallets" not in page(world, limits(world))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clip_share": "9"}, "At least 10; you wrote 9."),
        ({"clip_share": "100"}, "At most 99; you wrote 100."),
        ({"judge_every": "0"}, "At least 1; you wrote 0."),
        ({"judge_window": "21"}, "At most 20; you wrote 21."),
        ({"judge": "ab" * 32}, "Choose one of the listed evaluations."),
        (
            {"poisson": "on", "budget": "0.7"},
            "Where coins decide, a round may need 215 visits. Enter 1.075 or more.",
        ),
    ],
)
def test_what_cannot_be_is_said_beside_the_field_and_the_fold_is_open(
    world: World, judge: Algorithm, changes: dict[str, str], words: str
) -> None:
    before = Order.objects.count()
    url = reverse("order", args=[world.collective.pk])
    answer = world.client("carla").post(url, limits(world, **changes))
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert '<details class="fold" open>' in answer.content.decode()
    assert Order.objects.count() == before


def test_a_step_offers_what_the_algorithm_has_a_use_for(world: World) -> None:
    asked = {"algorithm": world.algorithm.manifest_hash}
    text = page(world, asked)
    assert 'name="clip_share"' in text
    assert 'name="judge"' not in text
    assert "has announced no evaluation of this algorithm" in text
    assert '<details class="fold">' in text  # folded while nothing is chosen
    other = announced(world, {"kind": "evaluation", "clip_micro": 1_732_051, "bins": 4}, layers=stack([8, 1]))
    assert 'name="judge"' not in page(world, asked)  # it judges another model
    text = page(world, {"algorithm": other.manifest_hash})
    assert ('name="clip_share"' in text, 'name="poisson"' in text) == (False, True)
    assert "No model to judge yet" in text


def test_an_evaluation_is_ordered_with_the_model_it_judges(world: World, judge: Algorithm) -> None:
    first = Checkpoint.objects.get(job_id=world.order.job_id)
    weights = np.arange(len(bytes(first.weights)) // 4, dtype="<f4").tobytes()
    Checkpoint.objects.create(
        job_id=world.order.job_id, number=3, weights=weights, moments=first.moments, hash="ab" * 32
    )
    chosen = f"{world.order.job_id}:3"
    text = page(world, {"algorithm": judge.manifest_hash})
    assert f'<option value="{chosen}">Rested from age and hours of ' in text
    assert 'name="rounds" value="1"' in text
    values = limits(world, algorithm=judge.manifest_hash, rounds="1")
    assert "Choose the model that the evaluation judges." in page(world, values)
    order = placed(world, values | {"judged": chosen})
    assert bytes(Checkpoint.objects.get(job_id=order.job_id, number=0).weights) == weights
    world.people["charlie"].grant("consumer")
    url = reverse("order", args=[world.collective.pk])
    assert world.client("charlie").post(url, values | {"judged": chosen}).status_code == 422


def test_card_page_file_and_comparison_say_how_it_was_ordered(world: World, judge: Algorithm) -> None:
    order = placed(world, limits(world, judge=judge.manifest_hash, **CHOSEN))
    card = model_card.build(order)
    assert card["training"]["clip_quantile_ppm"] == 900_000
    assert card["training"]["poisson"] is True
    assert card["training"]["plateau"] == {"evaluation": judge.manifest_hash, "every": 2, "window": 4}
    rows = {row["label"]: row for row in model_card.compare(model_card.build(world.order), card)}
    assert (rows["Clip bound"]["before"], rows["Clip bound"]["same"]) == ("the algorithm's own", False)
    assert rows["Wallets are invited"]["after"] == "each by a coin of its own"
    assert rows["Stops at a plateau"]["before"] == "no"
    for name in ("job", "result"):
        url = reverse(name, args=[order.job_id])
        text = world.client("carla").get(url).content.decode()
        assert "<dt>Clip bound</dt><dd>follows the wallets: 90 % of updates stay whole</dd>" in text
        assert "every 2 rounds by “How well it predicts”" in text
        german = world.client("carla").get(url, headers=GERMAN).content.decode()
        assert "<dt>Längengrenze</dt><dd>folgt den Wallets: 90 % der Updates bleiben ganz</dd>" in german
        assert "alle 2 Runden mit „How well it predicts“" in german
        plain = world.client("carla").get(reverse(name, args=[world.order.job_id])).content.decode()
        assert "<dt>Clip bound</dt>" not in plain


def test_the_live_page_tells_what_other_wallets_said(world: World, judge: Algorithm) -> None:
    order = placed(world, limits(world, judge=judge.manifest_hash))
    manifest = parse_manifest(judge.manifest)
    start = np.frombuffer(bytes(Checkpoint.objects.get(job_id=order.job_id).weights), "<f4")
    mean = np.zeros(output_length(manifest))
    mean[0] = 0.25
    state = advance(
        manifest, begin(manifest, start), mean, wallets=100, noise=0.0, optimiser="sgd", learning_rate_micro=1
    )
    made = services.order(
        consumer=world.people["carla"],
        collective_id=world.collective.pk,
        manifest_hash=judge.manifest_hash,
        budget=10**18,
        max_rounds=1,
        judged=(order.job_id, 0),
    )
    Order.objects.filter(pk=made.pk).update(judges=order, judged_number=5)
    url = reverse("job", args=[order.job_id])
    assert "What other wallets said" not in world.client("carla").get(url).content.decode()
    Checkpoint.objects.create(
        job_id=made.job_id,
        number=1,
        weights=state.weights.tobytes(),
        moments=state.moments_to_bytes(),
        hash="cd" * 32,
    )
    text = world.client("carla").get(url).content.decode()
    loss = f"{0.25 * LOSS_UNIT:.4f}"
    assert f'<tr><th scope="row">5</th><td>{loss}</td><td>± 0.0500</td></tr>' in text
    part = world.client("carla").get(url, {"part": "live"}, headers=GERMAN).content.decode()
    assert loss.replace(".", ",") in part
