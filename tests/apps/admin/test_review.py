"""The administrator's first page says what waits, and the page of an algorithm says what to look at."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from collectives import review
from collectives.models import Algorithm, Job, OutgoingCall, Round
from collectives.services import algorithms
from collectives.services import collectives as services
from collectives.terms.algorithm import stack
from tests.apps import cast

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def world() -> cast.World:
    return cast.world()


def index(world: cast.World) -> str:
    text = world.client("ada").get(reverse("admin:index")).content.decode()
    return text.split('id="to-do"')[1].split("</div>")[0]


def test_nothing_waits_and_the_page_says_so(world: cast.World) -> None:
    assert "Nothing." in index(world)


def test_what_waits_is_counted_and_leads_to_its_list(world: cast.World) -> None:
    for number in (5, 6):
        algorithms.submit(actor=world.people["aron"], manifest=cast.MANIFEST | {"layers": stack([number, 1])})
    services.suspend(actor=world.people["ada"], collective=world.collective, reason="Why.")
    job = Job.objects.get(pk=world.order.job_id)
    Round.objects.create(job=job, number=1, deadline=timezone.now() - timedelta(hours=1))
    OutgoingCall.objects.create(key="x", method="PUT", path="/x", status=OutgoingCall.Status.REFUSED)
    shown = index(world)
    for words in (
        "2 algorithms wait for review",
        "1 collectives are suspended",
        "1 jobs have a round past its time",
        "1 calls were refused",
    ):
        assert words in shown
    ada = world.client("ada")
    url = reverse("admin:collectives_algorithm_changelist") + "?status__exact=submitted"
    assert f'href="{url}"' in shown
    assert ada.get(url).content.decode().count('class="action-checkbox"') == 2


def test_a_reviewer_reads_what_to_look_at_and_what_differs(world: cast.World) -> None:
    made = algorithms.submit(
        actor=world.people["aron"],
        manifest=cast.MANIFEST | {"layers": stack([16, 1]), "purpose": "Sell beds."},
    )
    url = reverse("admin:collectives_algorithm_change", args=[made.pk])
    text = world.client("ada").get(url).content.decode()
    assert "What to look at" in text
    assert "Does the purpose need every field it reads (age, hours)?" in text
    assert "layers 1, out: 4 → 16" in text
    assert "Sell beds." in text
    first = reverse("admin:collectives_algorithm_change", args=[world.algorithm.pk])
    assert "nothing to compare it with" in world.client("ada").get(first).content.decode()


def test_somebody_elses_algorithm_is_no_earlier_version(world: cast.World) -> None:
    made = algorithms.submit(
        actor=world.people["charlie"], manifest=cast.MANIFEST | {"layers": stack([16, 1])}
    )
    assert Algorithm.objects.get(pk=made.pk).differs_from is None


def test_questions_name_what_this_manifest_raises() -> None:
    wide = cast.MANIFEST | {"output": {"kind": "gradient", "clip_micro": 50_000_000}}
    assert any("up to 50" in question for question in review.questions(wide, 17))
    assert any("2,000,000 parameters" in question for question in review.questions(wide, 2_000_000))
    assert not any("parameters" in question for question in review.questions(cast.MANIFEST, 17))
    query = {"inputs": ["age"], "output": {"kind": "mean", "clip_micro": 1}}
    assert any("sums only" in question for question in review.questions(query, 2))


def test_a_difference_names_each_place_once() -> None:
    assert review.difference({"a": 1, "b": [{"c": 2}]}, {"a": 1, "b": [{"c": 3}, {"d": []}]}) == [
        "b 1, c: 2 → 3",
        "b 2, d: not there → []",
    ]
    assert review.difference(cast.MANIFEST, cast.MANIFEST) == []
