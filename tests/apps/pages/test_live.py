"""The live page: only its owner's socket gets the fragment; the fragment says which verbs are open."""

from __future__ import annotations

import math
import re

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.urls import reverse

from collectives.models import Job, Round, TermsVersion
from marketplace.jobs import routing
from tests.apps import cast

pytestmark = pytest.mark.django_db(transaction=True)


def socket(world: cast.World, name: str, query: str = "") -> WebsocketCommunicator:
    made = WebsocketCommunicator(
        URLRouter(routing.websocket_urlpatterns), f"/ws/jobs/{world.order.job_id}/{query}"
    )
    made.scope["user"] = world.people[name]
    return made


async def test_the_owner_gets_the_fragment_and_a_stranger_nothing(transactional_db: None) -> None:
    world = await sync_to_async(cast.world)()
    mine = socket(world, "carla")
    connected, _ = await mine.connect()
    assert connected
    html = await mine.receive_from()
    assert "waiting for funds" in html
    assert 'data-verbs="fund ' in html
    assert "<html" not in html
    await mine.disconnect()
    connected, _ = await socket(world, "charlie").connect()
    assert not connected


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "waiting for funds"),
        ("?language=en", "waiting for funds"),
        ("?language=de", "wartet auf Einzahlung"),
        ("?language=xx&language=de", "waiting for funds"),
        ("?language=%ff", "waiting for funds"),
    ],
)
async def test_the_fragment_is_in_the_language_of_the_page(
    transactional_db: None, query: str, said: str
) -> None:
    world = await sync_to_async(cast.world)()
    mine = socket(world, "carla", query)
    await mine.connect()
    assert f'data-title="{said}"' in await mine.receive_from()
    await mine.disconnect()


def test_the_fragment_alone_can_be_asked_for(transactional_db: None) -> None:
    world = cast.world()
    text = (
        world.client("carla")
        .get(reverse("job", args=[world.order.job_id]), {"part": "live"})
        .content.decode()
    )
    assert text.lstrip().startswith('<div class="stack" data-title="waiting for funds"')


def test_only_open_verbs_are_shown(transactional_db: None) -> None:
    world = cast.world()
    Job.objects.filter(pk=world.order.job_id).update(status="running")
    text = world.client("carla").get(reverse("job", args=[world.order.job_id])).content.decode()
    assert '<div data-verb="stop">' in text
    assert '<div data-verb="pause">' in text
    assert '<div data-verb="fund" hidden>' in text


def test_a_job_is_stopped_and_the_page_says_what_follows(transactional_db: None) -> None:
    world = cast.world()
    Job.objects.filter(pk=world.order.job_id).update(status="funded")
    url = reverse("job-act", args=[world.order.job_id, "stop"])
    text = world.client("carla").post(url, follow=True).content.decode()
    assert "the rest comes back to you" in text
    assert Job.objects.get(pk=world.order.job_id).status == "stopped"


def test_a_job_under_formal_terms_shows_what_of_epsilon_is_spent(transactional_db: None) -> None:
    world = cast.world()
    client, url = world.client("carla"), reverse("job", args=[world.order.job_id])
    Job.objects.filter(pk=world.order.job_id).update(status="running", enrolled=300)
    assert "these terms claim no epsilon" in client.get(url).content.decode()
    terms = world.collective.terms.get()
    TermsVersion.objects.filter(pk=terms.pk).update(document=terms.document | {"privacy_level": "formal"})
    shown = []
    for number in range(3):
        text = client.get(url).content.decode()
        found = re.search(
            r"ε (\d\.\d\d) of at most 3\.00 a year, after (?:at most )?(\d+) visits? of one", text
        )
        assert found is not None
        assert (
            f'<progress value="{math.ceil(100 * float(found[1]) / 3)}" max="100" aria-labelledby="privacy-meter"'
            in text
        )
        shown.append((float(found[1]), int(found[2])))
        Round.objects.create(job_id=world.order.job_id, number=number + 1, status="posted")
    assert shown[0] == (0.0, 0)
    assert [visits for _, visits in shown] == [0, 1, 1], "two rounds of 143 out of 300 visit nobody twice"
    assert 0 < shown[1][0] == shown[2][0] < 3
