"""What an owner sees of a notice counts the same wallets that activation counts, under every meaning of silence."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from collectives import selectors
from collectives.models import Admission, NoticeAnswer, Subscription
from collectives.selectors.notices import _remaining
from tests.apps import cast
from tests.apps.crowd import crowd, subscribers


@pytest.fixture
def world(db: None) -> cast.World:
    return cast.world()


def test_remaining_is_what_willing_finds(world: cast.World) -> None:
    alice = world.people["alice"]
    crowd(world)
    cast.services.propose_terms(actor=alice, collective=world.collective, silence="with")
    later = subscribers(world, 5)
    NoticeAnswer.objects.create(
        subscription=later[0], admission=world.admission, choice="without", document={}
    )
    NoticeAnswer.objects.create(subscription=later[1], admission=world.admission, choice="with", document={})
    Subscription.objects.filter(pk=later[2].pk).update(status=Subscription.Status.REVOKED)
    Subscription.objects.filter(pk=later[3].pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    cast.services.propose_terms(
        actor=alice, collective=world.collective, manifests=[world.algorithm.manifest_hash]
    )
    subscribers(world, 2)
    versions = list(world.collective.terms.all())
    admissions = list(Admission.objects.filter(collective=world.collective))
    counted = _remaining(world.collective, admissions, versions)
    assert counted == {row.pk: selectors.willing(row, versions).count() for row in admissions}
    # One said with, one is silent where silence means with, two hold terms that name it.
    assert counted[world.admission.pk] == 4
    assert len(set(counted.values())) > 1
