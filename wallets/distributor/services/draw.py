"""Drawing a cohort: a pseudo-random order that was fixed before anyone could choose, minus who is away.

Order: HMAC-SHA256 under the job's committed cohort key over (frozen root, round, job key); who was drawn least often comes
first, so nobody is drawn twice before everybody was drawn once (sampling without replacement inside a pass). Wallets
that are not connected are passed over and keep their turn.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable

from django.db.models import F

from aggregation.wire import cbor
from wallets.distributor.models import Enrolment, Invitation, Job, Round, Subscriber
from wallets.distributor.services import presence


def rank(job: Job, number: int, job_key: str) -> bytes:
    """The place of a member in the order of a round."""
    body = {"root": bytes.fromhex(job.log_root), "round": number, "job_key": bytes.fromhex(job_key)}
    return hmac.digest(bytes(job.cohort_key), cbor.encode(body), hashlib.sha256)


def candidates(job: Job, number: int) -> list[Enrolment]:
    """Enrolled, still subscribed, not yet invited to this round, connected; in the order of the draw."""
    subscribed = Subscriber.objects.filter(
        collective_id=job.collective_id, state=Subscriber.State.ACTIVE
    ).values("key")
    rows = (
        Enrolment.objects.filter(job=job, index__isnull=False, subscription_key__in=subscribed)
        .exclude(invitations__round__number=number)
        .only("id", "job_key", "subscription_key", "times_drawn")
    )
    online = presence.connected()
    here = [row for row in rows if row.subscription_key in online]
    return sorted(here, key=lambda row: (row.times_drawn, rank(job, number, row.job_key or "")))


def invite(round_: Round, members: Iterable[Enrolment]) -> int:
    """Write invitations for these members and use up their turn; returns how many."""
    chosen = list(members)
    Invitation.objects.bulk_create(
        [
            Invitation(round=round_, enrolment=member, ident=os.urandom(16), ticket=os.urandom(16))
            for member in chosen
        ],
        batch_size=500,
    )
    _turn(chosen, +1)
    return len(chosen)


def give_back(members: Iterable[Enrolment]) -> None:
    """A round that never started uses nobody's turn."""
    _turn(members, -1)


def _turn(members: Iterable[Enrolment], by: int) -> None:
    ids = [member.pk for member in members]
    for start in range(0, len(ids), 500):
        Enrolment.objects.filter(pk__in=ids[start : start + 500]).update(times_drawn=F("times_drawn") + by)
