"""A collective that bounds its later algorithms: in the form, in the signed terms, in the permit, at the announcement."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from collectives.errors import CollectiveError
from collectives.models import Collective
from collectives.services import algorithms
from collectives.terms.algorithm import stack
from tests.apps import cast
from tests.apps.cast import World
from tests.apps.collectives.wallet import Wallet
from tests.apps.pages.test_agreed import send

CLASS = {
    "class_purpose": "Learn how people sleep.",
    "class_parameters": "50",
    "class_inputs": "age, hours",
    "class_target": "rested",
    "class_outputs": ["gradient", "delta"],
}
WORDS = "New algorithms must be of this class: Learn how people sleep. They have at most 50 parameters, read only age, hours"


def bounded(world: World, **changes: Any) -> Collective:
    status, text = send(world, reverse("collective-register"), **CLASS | changes)
    assert status == 302, text
    return Collective.objects.get(name="New question")


def test_the_class_is_in_the_terms_on_the_pages_and_in_the_permit(world: World) -> None:
    made = bounded(world)
    document = made.terms.get().document
    assert document["algorithm_class"] == {
        "purpose": "Learn how people sleep.",
        "max_parameters": 50,
        "inputs": ["age", "hours"],
        "target": ["rested"],
        "outputs": ["gradient", "delta"],
    }
    for who, name in (("", "collective"), ("ivo", "subscribe")):
        assert WORDS in world.client(who).get(reverse(name, args=[made.pk])).content.decode()
    assert Wallet().subscribe(made)["document"]["algorithm_class"] == document["algorithm_class"]
    listed = world.client("").get(reverse("api-collective", args=[made.pk])).json()
    assert listed["algorithm_class"] == document["algorithm_class"]


def test_without_any_bound_there_is_no_class(world: World) -> None:
    made = bounded(world, **dict.fromkeys(CLASS, "") | {"class_outputs": []})
    assert made.terms.get().document["algorithm_class"] is None


def test_only_what_is_inside_can_be_announced(world: World) -> None:
    made = bounded(world)
    inside = algorithms.announce(
        actor=world.people["alice"], collective=made, algorithm=world.algorithm, reason="Why."
    )
    assert inside.status == "announced"
    large = algorithms.submit(actor=world.people["aron"], manifest=cast.MANIFEST | {"layers": stack([40, 1])})
    algorithms.approve(actor=world.people["ada"], algorithm=large)
    with pytest.raises(CollectiveError) as error:
        algorithms.announce(actor=world.people["alice"], collective=made, algorithm=large, reason="Why.")
    assert error.value.code == "outside_class"
    assert "161 parameters; the class admits at most 50" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"class_purpose": ""}, "Say what later algorithms must be for"),
        ({"class_parameters": ""}, "Say how many parameters they have at most, up to 2,000,000."),
        ({"class_parameters": "3000000"}, "At most 2000000; you wrote 3000000."),
        ({"class_inputs": "age, shoe_size"}, "No field of the record has the short name “shoe_size”."),
        ({"class_outputs": ["everything"]}, "everything"),
    ],
)
def test_a_class_that_cannot_be_says_what_to_do(world: World, changes: dict[str, Any], words: str) -> None:
    status, text = send(world, reverse("collective-register"), **CLASS | changes)
    assert status == 422
    assert words in text
    assert '<details class="fold" open>' in text
    assert not Collective.objects.filter(name="New question").exists()


def test_an_algorithm_agreed_by_subscribing_lies_inside(world: World) -> None:
    changes: dict[str, Any] = CLASS | {"class_parameters": "3", "manifests": [world.algorithm.manifest_hash]}
    status, text = send(world, reverse("collective-register"), **changes)
    assert status == 422
    assert "is outside the class: It has 17 parameters; the class admits at most 3." in text


def test_a_new_version_keeps_the_class_and_the_difference_is_said(world: World) -> None:
    made = bounded(world)
    page = world.client("alice").get(reverse("collective-propose", args=[made.pk])).content.decode()
    assert 'value="Learn how people sleep."' in page
    assert 'value="age, hours"' in page
    status, text = send(
        world, reverse("collective-propose", args=[made.pk]), **CLASS | {"class_parameters": "90"}
    )
    assert status == 302, text
    shown = world.client("alice").get(reverse("collective-terms", args=[made.pk])).content.decode()
    assert "Class of later algorithms" in shown
    assert "at most 90 parameters" in shown
