"""Several more of everything that is listed anywhere, for counting what a list costs."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from collectives.models import Checkpoint, JobTransition, NoticeAnswer, Round, Subscription
from marketplace.accounts import tokens
from marketplace.jobs.models import Metric
from tests.apps import cast
from tests.apps.cast import World

MORE = 4


def subscribers(world: World, number: int) -> list[Subscription]:
    """Active subscriptions under the newest terms."""
    terms = world.collective.terms.first()
    before = Subscription.objects.count()
    rows = [
        Subscription(
            collective=world.collective,
            terms=terms,
            subscription_key=f"{before + n:064x}",
            document={},
            envelope_hash="00" * 32,
            agreement_hash=f"{before + n:064x}",
            permit={},
            expires_at=timezone.now() + timedelta(days=1),
        )
        for n in range(number)
    ]
    return Subscription.objects.bulk_create(rows)


def crowd(world: World, start: int = 0) -> None:
    """`MORE` of everything, counted on from `start`."""
    alice, aron, ada, carla = (world.people[name] for name in ("alice", "aron", "ada", "carla"))
    for number in range(start, start + MORE):
        made = cast.register(alice, f"Question {number}")
        cast.link(world.people["ivo"], world.wallet, made, subscription_key=f"{number:064x}")
        algorithm = cast.algorithms.submit(actor=aron, manifest=cast.MANIFEST | {"name": f"Number {number}"})
        cast.algorithms.approve(actor=ada, algorithm=algorithm)
        algorithm.refresh_from_db()
        admission = cast.algorithms.announce(
            actor=alice, collective=world.collective, algorithm=algorithm, reason="More."
        )
        unannounced = cast.MANIFEST | {"name": f"Not announced {number}"}
        cast.algorithms.approve(actor=ada, algorithm=cast.algorithms.submit(actor=aron, manifest=unannounced))
        NoticeAnswer.objects.bulk_create(
            NoticeAnswer(subscription=row, admission=admission, choice=choice, document={})
            for row, choice in zip(subscribers(world, 3), ("with", "without", "leave"), strict=True)
        )
        cast.services.propose_terms(actor=alice, collective=world.collective, purpose=f"Purpose {number}.")
        placed = cast.jobs.order(
            consumer=carla,
            collective_id=world.collective.pk,
            manifest_hash=world.algorithm.manifest_hash,
            budget=1000 * 10**18,
            max_rounds=3,
        )
        for job in (placed.job_id, world.order.job_id):
            _lived(job, number)
        Metric.objects.create(order=world.order, checkpoint=0, name=f"metric {number}", value=0.5)
        tokens.make(account=world.people["ivo"], label=f"token {number}")


def _lived(job_id: object, number: int) -> None:
    """A closed round with its checkpoint, and an event."""
    now = timezone.now()
    Round.objects.create(
        job_id=job_id, number=number + 1, status="posted", joined=110, survivors=103, ended_at=now
    )
    Checkpoint.objects.create(
        job_id=job_id, number=number + 1, weights=b"", moments=b"", hash=f"{number:064x}", wallets=103
    )
    JobTransition.objects.create(job_id=job_id, before="running", after="running", reason=f"event {number}")
