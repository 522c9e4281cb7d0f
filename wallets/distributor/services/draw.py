"""Drawing a cohort: a pseudo-random order that was fixed before anyone could choose, minus who is away.

Order: HMAC-SHA256 under the job's committed cohort key over (frozen root, round, job key); who was drawn least often comes
first, so nobody is drawn twice before everybody was drawn once (sampling without replacement inside a pass). Wallets
that are not connected are passed over and keep their turn.

Or by coins, where a job wants its cohorts to say less about who was visited: the same keyed hash, read as a number between 0 and 1, is
every wallet's own coin for the round. Nobody is drawn in another's place then.
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

CHUNK = 500


def rank(job: Job, number: int, job_key: str) -> bytes:
    """The place of a member in the order of a round."""
    body = {"root": bytes.fromhex(job.log_root), "round": number, "job_key": bytes.fromhex(job_key)}
    return hmac.digest(bytes(job.cohort_key), cbor.encode(body), hashlib.sha256)


def candidates(job: Job, number: int, most: int | None = None) -> list[Enrolment]:
    """Enrolled, still subscribed, not yet invited to this round, connected; in the order of the draw, at most so many.

    Of a hundred thousand members only those are ranked whose turn it can be, and only the drawn ones become objects.
    """
    waiting = _waiting(job, number)
    wanted = len(waiting) if most is None else max(0, most)
    turns = sorted(times for *_, times in waiting)[:wanted]
    last = turns[-1] if turns else -1
    ranked = sorted(
        (times, rank(job, number, job_key), pk) for pk, job_key, times in waiting if times <= last
    )
    chosen = [pk for *_, pk in ranked[:wanted]]
    rows = {}
    for start in range(0, len(chosen), CHUNK):
        part = Enrolment.objects.filter(pk__in=chosen[start : start + CHUNK])
        rows |= {row.pk: row for row in part.only("id", "job_key", "subscription_key", "times_drawn")}
    return [rows[pk] for pk in chosen]


def by_coin(job: Job, number: int, ppm: int) -> list[Enrolment]:
    """Of everybody who may be invited now those whose coin falls: each with a chance of ppm / 10^6, whoever else is drawn."""
    below = ppm * 2**64 // 1_000_000
    chosen = [
        pk
        for pk, job_key, _ in _waiting(job, number)
        if int.from_bytes(rank(job, number, job_key)[:8], "big") < below
    ]
    return [
        row
        for start in range(0, len(chosen), CHUNK)
        for row in Enrolment.objects.filter(pk__in=chosen[start : start + CHUNK])
    ]


def _waiting(job: Job, number: int) -> list[tuple[int, str, int]]:
    """(id, job key, how often drawn) of everybody who may be invited to this round now."""
    subscribed = Subscriber.objects.filter(
        collective_id=job.collective_id, state=Subscriber.State.ACTIVE
    ).values("key")
    members = Enrolment.objects.filter(job=job, index__isnull=False, subscription_key__in=subscribed)
    invited = set(
        Invitation.objects.filter(round__job=job, round__number=number).values_list("enrolment_id", flat=True)
    )
    online = presence.connected()
    return [
        (pk, job_key or "", times)
        for pk, job_key, key, times in members.values_list(
            "pk", "job_key", "subscription_key", "times_drawn"
        ).iterator()
        if key in online and pk not in invited
    ]


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
    for start in range(0, len(ids), CHUNK):
        Enrolment.objects.filter(pk__in=ids[start : start + CHUNK]).update(times_drawn=F("times_drawn") + by)
