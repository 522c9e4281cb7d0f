"""An author makes an algorithm from the catalogue without writing JSON; everybody sees which algorithms there are."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.urls import reverse

from collectives.models import Algorithm
from collectives.training.catalogue import entries
from marketplace.catalogue.kinds import WORDS
from tests.apps.cast import World

CHOICE = {
    "kind": "logistic-regression",
    "inputs": ["age", "hours"],
    "target": ["rested"],
    "purpose": "Who is rested.",
}


def send(world: World, **changes: Any) -> Any:
    url = reverse("algorithm-ready-made-for", args=[world.collective.pk])
    return world.client("aron").post(url, CHOICE | changes)


def test_a_kind_and_fields_make_a_manifest_that_can_be_submitted(world: World) -> None:
    client = world.client("aron")
    chosen = client.get(reverse("algorithm-ready-made"), {"collective": str(world.collective.pk)})
    assert chosen.url == reverse("algorithm-ready-made-for", args=[world.collective.pk])
    page = send(world)
    assert page.status_code == 200
    text = re.search(r'<textarea name="text"[^>]*>(.*?)</textarea>', page.content.decode(), re.S)
    assert text is not None
    manifest = json.loads(html.unescape(text[1]))
    assert (manifest["inputs"], manifest["target"]) == (["age", "hours"], ["rested"])
    assert manifest["purpose"] == "Who is rested."
    answer = client.post(reverse("algorithm-submit"), {"text": json.dumps(manifest), "name": "Rested or not"})
    assert answer.url == reverse("algorithms")
    assert Algorithm.objects.get(name="Rested or not").author == world.people["aron"]


def test_every_kind_is_offered_with_what_it_is_good_for(world: World) -> None:
    made = world.client("aron").get(reverse("algorithm-ready-made-for", args=[world.collective.pk]))
    listed = world.client("").get(reverse("algorithm-list"))
    for entry in entries():
        for page in (made, listed):
            assert html.escape(entry.use) in page.content.decode(), entry.name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": []}, "Choose at least one field that it reads."),
        ({"target": ["age"]}, "cannot be read and predicted at once"),
        ({"target": []}, "needs a field to predict"),
        ({"kind": "mean"}, "predicts nothing"),
        ({"kind": "magic"}, "not one of the available choices"),
        ({"inputs": ["income"]}, "not one of the available choices"),
        ({"purpose": ""}, "required"),
    ],
)
def test_what_cannot_be_says_what_to_do(world: World, changes: dict[str, Any], words: str) -> None:
    answer = send(world, **changes)
    assert answer.status_code == 422
    assert words in html.unescape(answer.content.decode())


def test_the_list_shows_approved_ones_only_and_finds_by_name(world: World) -> None:
    Algorithm.objects.create(
        author=world.people["aron"], name="Not yet", manifest={}, manifest_hash="0" * 64, parameters=1
    )

    def page(query: str) -> str:
        return world.client("").get(reverse("algorithm-list") + query).content.decode()

    assert world.algorithm.name in page("")
    assert "Not yet" not in page("")
    assert world.algorithm.name in page("?q=rested")
    assert "No algorithm has this name" in page("?q=%00nothing&page=x")


def test_the_words_of_every_kind_can_be_translated() -> None:
    assert set(WORDS) == {text for entry in entries() for text in (entry.title, entry.use)}
