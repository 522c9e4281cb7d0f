"""What an owner reads of closed rounds: the epsilon reached by each, the same as the job's own page says, and a loss where one was measured."""

from __future__ import annotations

import re
from datetime import timedelta

from django.urls import reverse
from django.utils import timezone

from collectives.models import Job, Round, TermsVersion
from tests.apps import cast
from tests.apps.cast import World


def rounds_of(world: World) -> list[tuple[int, str, str]]:
    """(number, loss, epsilon) as the owner's page shows them, oldest first."""
    text = (
        world.client("alice").get(reverse("collective-rounds", args=[world.collective.pk])).content.decode()
    )
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in text.split("<tr>")[2:]]
    return sorted((int(row[2]), row[7], row[8]) for row in rows)


def test_epsilon_grows_with_the_rounds_and_is_what_the_consumer_reads(transactional_db: None) -> None:
    world = cast.world()
    job = Job.objects.get(pk=world.order.job_id)
    Job.objects.filter(pk=job.pk).update(status="running", enrolled=300)
    for number in (1, 2, 3, 4):
        status = "abandoned" if number == 2 else "posted"
        ended = timezone.now() + timedelta(seconds=number)
        Round.objects.create(job=job, number=number, status=status, ended_at=ended)
    assert rounds_of(world) == [(number, "–", "–") for number in (1, 2, 3, 4)], "aggregate terms claim none"

    terms = world.collective.terms.get()
    TermsVersion.objects.filter(pk=terms.pk).update(document=terms.document | {"privacy_level": "formal"})
    shown = [epsilon for _, _, epsilon in rounds_of(world)]
    assert shown[1] == "–", "nothing was released"
    assert float(shown[0]) == float(shown[2]) < float(shown[3]), "three rounds of 143 visit some of 300 twice"
    live = world.client("carla").get(reverse("job", args=[job.pk])).content.decode()
    found = re.search(r"ε (\d\.\d\d) of at most", live)
    assert found is not None and found[1] == shown[3]
