"""Drawing a cohort: a pseudo-random order that was fixed before anyone could choose, minus who is away.

Order: HMAC-SHA256 under the job's committed cohort key over (frozen root, round, job key); who was drawn least often comes
first, so nobody is drawn twice before everybody was drawn once (sampling without replacement inside a pass). Wallets
that are not connected are passed over and keep their turn.

Or by coins, where a job wants its cohorts to say less about who was visited: the same keyed hash, read as a number between 0 and 1, is
every wallet's own coin for the round. Nobody is drawn in another's place then.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterator, Sequence

from django.db import connections

from aggregation.wire import cbor
from wallets.distributor.models import ALIAS, Enrolment, Invitation, Job, Round, Subscriber
from wallets.distributor.services import presence

CHUNK = 500


def ranking(job: Job, number: int) -> Callable[[str], bytes]:
    """From a job key to its member's place in the order of a round. What is the same for all is encoded once: the job key comes last in a
    CBOR map, whose keys are sorted by their encoding."""
    none = bytes(32)
    body = {"root": bytes.fromhex(job.log_root), "round": number, "job_key": none}
    before, key = cbor.encode(body).removesuffix(none), bytes(job.cohort_key)

    def ranked(job_key: str) -> bytes:
        return hmac.digest(key, before + bytes.fromhex(job_key), "sha256")

    return ranked


def candidates(job: Job, number: int, most: int | None = None) -> list[int]:
    """Ids of enrolments: still subscribed, not yet invited to this round, connected; in the order of the draw, at most so many.

    Of a hundred thousand members only those are ranked whose turn it can be.
    """
    waiting = _waiting(job, number)
    wanted = len(waiting) if most is None else max(0, most)
    turns = sorted(times for *_, times in waiting)[:wanted]
    last = turns[-1] if turns else -1
    of = ranking(job, number)
    ranked = sorted((times, of(job_key), pk) for pk, job_key, times in waiting if times <= last)
    return [pk for *_, pk in ranked[:wanted]]


def by_coin(job: Job, number: int, ppm: int) -> list[int]:
    """Of everybody who may be invited now those whose coin falls: each with a chance of ppm / 10^6, whoever else is drawn."""
    below, of = ppm * 2**64 // 1_000_000, ranking(job, number)
    return [pk for pk, job_key, _ in _waiting(job, number) if int.from_bytes(of(job_key)[:8], "big") < below]


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


def invite(round_: Round, members: Sequence[int]) -> int:
    """Write invitations for these enrolments and use up their turn; returns how many.

    Without an object for each: ten thousand of them are a second of the interpreter, in which no invitation leaves.
    """
    for part in _chunks(members):
        random = os.urandom(32 * len(part))
        values: list[object] = []
        for at, member in enumerate(part):
            ident, ticket = random[32 * at : 32 * at + 16], random[32 * at + 16 : 32 * at + 32]
            values += (round_.pk, member, ident, ticket, Invitation.State.INVITED.value)
        rows = ", ".join(["(%s, %s, %s, %s, %s)"] * len(part))
        _write(_INVITE + rows, values)
    _turn(members, +1)
    return len(members)


def give_back(members: Sequence[int]) -> None:
    """A round that never started uses nobody's turn."""
    _turn(members, -1)


def _turn(members: Sequence[int], by: int) -> None:
    for part in _chunks(members):
        some = ", ".join(["%s"] * len(part))
        _write(f"{_TURN} ({some})", [by, *part])


def _chunks(members: Sequence[int]) -> Iterator[Sequence[int]]:
    """In the order in which they are stored, not in that of the draw: rows beside one another are written in half the time."""
    stored = sorted(members)
    return (stored[start : start + CHUNK] for start in range(0, len(stored), CHUNK))


def _write(statement: str, values: Sequence[object]) -> None:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(statement, values)


_INVITE = f"INSERT INTO {Invitation._meta.db_table} (round_id, enrolment_id, ident, ticket, state) VALUES "  # noqa: S608 - our own table
_TURN = f"UPDATE {Enrolment._meta.db_table} SET times_drawn = times_drawn + %s WHERE id IN"  # noqa: S608 - our own table
