"""Reads: counts for other services, and the frames that wait for connected wallets."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from django.db.models import Count, Q, QuerySet

from aggregation.wire import cbor
from aggregation.wire.merkle import MerkleLog
from wallets.distributor import config
from wallets.distributor.errors import Unknown
from wallets.distributor.models import (
    Enrolment,
    Invitation,
    Job,
    Mail,
    Mailbox,
    Notice,
    Presence,
    Round,
    Subscriber,
)
from wallets.distributor.services.jobs import leaf_of, log_signature
from wallets.distributor.services.presence import OLDEST

CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A frame for one key. `mark` identifies it: a connection gets each mark once.

    The frame is made when somebody sends it: the hub looks at everything every few seconds, and nearly all was sent before.
    """

    key: str
    mark: tuple[str, int, str]
    make: Callable[[], dict[str, Any] | bytes]

    @property
    def data(self) -> bytes:
        """The frame as it is sent."""
        made = self.make()
        return made if isinstance(made, bytes) else cbor.encode(made)


def mailbox_status(key: str) -> dict[str, Any]:
    if not Mailbox.objects.filter(key=key).exists():
        raise Unknown("There is no such mailbox; pair the wallet again.")
    seen = Presence.objects.filter(key=key).first()
    recent = seen is not None and seen.last_seen >= config.now() - OLDEST
    return {
        "connected": bool(seen and seen.connected and recent),
        "last_seen": seen.last_seen if seen else None,
    }


def mail_state(key: str, ref: str) -> dict[str, str]:
    mail = Mail.objects.filter(key=key, ref=ref).first()
    if mail is None:
        raise Unknown("There is no mail with this reference.")
    return {"ref": ref, "state": mail.state}


def notice_counts(collective_id: uuid.UUID, ref: str) -> dict[str, int]:
    notice = Notice.objects.filter(collective_id=collective_id, ref=ref).first()
    if notice is None:
        raise Unknown("There is no such notice.")
    heard = Mail.objects.filter(
        ref=ref, kind=Mail.Kind.NOTICE, state__in=[Mail.State.DONE, Mail.State.REFUSED]
    ).count()
    return {"addressed": notice.addressed, "delivered": heard}


def job_state(job_id: uuid.UUID) -> dict[str, Any]:
    job = Job.objects.filter(id=job_id).first()
    if job is None:
        raise Unknown("There is no such job.")
    # Frozen is said only when the aggregator knows the members: from then on rounds can be opened there.
    telling = job.state == Job.State.FROZEN and job.log_size > 0 and not job.members_told
    return {
        "state": Job.State.ENROLLING.value if telling else job.state,
        "subscribers": Subscriber.objects.filter(
            collective_id=job.collective_id, state=Subscriber.State.ACTIVE
        ).count(),
        "enrolled": Enrolment.objects.filter(job=job, state=Enrolment.State.ENROLLED).count(),
        "log_root": job.log_root or None,
        "log_size": job.log_size,
    }


def round_state(job_id: uuid.UUID, number: int) -> dict[str, Any]:
    row = Round.objects.filter(job_id=job_id, number=number).first()
    if row is None:
        raise Unknown("There is no such round.")
    delivered, accepted = Invitation.State.DELIVERED, Invitation.State.ACCEPTED
    counts = Invitation.objects.filter(round=row).aggregate(
        invited=Count("pk"),
        accepted=Count("pk", filter=Q(state__in=[accepted, delivered])),
        delivered=Count("pk", filter=Q(state=delivered)),
    )
    state = Round.State.INVITING.value if row.state == Round.State.DELIVERING else row.state
    return {"state": state, **counts}


def waiting_for(keys: Iterable[str]) -> list[Waiting]:
    """Everything that waits for these keys."""
    everything: list[Waiting] = []
    wanted, live, running = sorted(keys), _live_jobs(), _running_rounds()
    for start in range(0, len(wanted), CHUNK):
        part = wanted[start : start + CHUNK]
        everything += _mail(Mail.objects.filter(key__in=part))
        enrolments = Enrolment.objects.filter(subscription_key__in=part)
        if Job.State.ENROLLING in live:
            everything += _questions(enrolments)
        if Job.State.FROZEN in live:
            everything += _places(enrolments)
        if running:
            mine = Invitation.objects.filter(round_id__in=running, enrolment__subscription_key__in=part)
            everything += _invitations(mine)
    return everything


def _live_jobs() -> set[str]:
    """States of the jobs that are not over. While none enrols nobody is asked, and while none is frozen nobody has a place: what a wallet
    that comes could be told of them is then not looked for."""
    placed = Q(state=Job.State.FROZEN, expires__gt=config.now())
    return set(Job.objects.filter(Q(state=Job.State.ENROLLING) | placed).values_list("state", flat=True))


def waiting_answers() -> list[Waiting]:
    """What some deadline waits for: questions of enrolling jobs, and invitations and deliveries of running rounds, whoever they are for."""
    # Jobs and rounds first: they are few, while enrolments and invitations of all that ever ran are many.
    enrolling = list(Job.objects.filter(state=Job.State.ENROLLING).values_list("pk", flat=True))
    running = _running_rounds()
    questions = _questions(Enrolment.objects.filter(job_id__in=enrolling)) if enrolling else ()
    return [*questions, *(_invitations(Invitation.objects.filter(round_id__in=running)) if running else ())]


def _running_rounds() -> list[int]:
    """Rounds of which something can still wait for a wallet."""
    states = (Round.State.INVITING, Round.State.DELIVERED, Round.State.SHORT)
    return list(Round.objects.filter(state__in=states, expires__gt=config.now()).values_list("pk", flat=True))


def waiting_mail(pk: int) -> list[Waiting]:
    return list(_mail(Mail.objects.filter(pk=pk)))


def waiting_notice(ref: str) -> list[Waiting]:
    return list(_mail(Mail.objects.filter(ref=ref, kind=Mail.Kind.NOTICE)))


def waiting_job(job_id: str) -> list[Waiting]:
    rows = Enrolment.objects.filter(job_id=job_id)
    return [*_questions(rows), *_places(rows)]


def waiting_round(pk: int) -> list[Waiting]:
    return list(_invitations(Invitation.objects.filter(round_id=pk)))


def _mail(rows: QuerySet[Mail]) -> Iterator[Waiting]:
    for mail in rows.filter(state=Mail.State.WAITING, expires__gt=config.now()):
        yield Waiting(key=mail.key, mark=("mail", mail.pk, ""), make=partial(_letter, mail))


def _letter(mail: Mail) -> dict[str, Any]:
    return {
        "t": "mail",
        "id": mail.pk,
        "to": bytes.fromhex(mail.key),
        "kind": mail.kind,
        "body": mail.body.encode(),
        "expires": mail.expires,
    }


def _active() -> QuerySet[Subscriber, Any]:
    return Subscriber.objects.filter(state=Subscriber.State.ACTIVE).values("key")


def _questions(rows: QuerySet[Enrolment]) -> Iterator[Waiting]:
    asked = rows.filter(
        state=Enrolment.State.ASKED,
        job__state=Job.State.ENROLLING,
        job__enrol_until__gt=config.now(),
        subscription_key__in=_active(),
    ).select_related("job")
    for row in asked:
        yield Waiting(key=row.subscription_key, mark=("job", row.pk, ""), make=partial(_question, row))


def _question(row: Enrolment) -> dict[str, Any]:
    return {
        "t": "job",
        "id": bytes(row.ident),
        "to": bytes.fromhex(row.subscription_key),
        "body": row.job.announcement.encode(),
    }


def _places(rows: QuerySet[Enrolment]) -> Iterator[Waiting]:
    placed = rows.filter(
        index__isnull=False,
        job__state=Job.State.FROZEN,
        job__expires__gt=config.now(),
        subscription_key__in=_active(),
    )
    # Plain values: every wallet of every running job passes here, every few seconds.
    found = list(placed.values_list("pk", "subscription_key", "index", "job_id"))
    jobs = Job.objects.in_bulk({job_id for *_, job_id in found})
    for pk, key, index, job_id in found:
        job = jobs[job_id]
        log, signature = _log(job_id, job.log_root)
        yield Waiting(
            key=key, mark=("enrolled", pk, ""), make=partial(_place, job, key, index, log, signature)
        )


def _place(job: Job, key: str, index: int, log: MerkleLog, signature: bytes) -> dict[str, Any]:
    return {
        "t": "enrolled",
        "job": job.id.bytes,
        "to": bytes.fromhex(key),
        "index": index,
        "size": job.log_size,
        "root": bytes.fromhex(job.log_root),
        "proof": log.proof(index),
        "sig": signature,
    }


@lru_cache(maxsize=32)
def _log(job_id: uuid.UUID, root: str) -> tuple[MerkleLog, bytes]:
    job = Job.objects.get(id=job_id)
    members = Enrolment.objects.filter(job=job, index__isnull=False).order_by("index")
    return MerkleLog(leaf_of(job, member) for member in members), log_signature(job)


def _invitations(rows: QuerySet[Invitation]) -> Iterator[Waiting]:
    state, round_state_ = Invitation.State, Round.State
    open_now = (
        Q(state=state.INVITED, round__state=round_state_.INVITING)
        | Q(state=state.DELIVERED, round__state=round_state_.DELIVERED)
        | Q(state=state.CANCELLED, round__state__in=[round_state_.SHORT, round_state_.DELIVERED])
    )
    relevant = rows.filter(
        open_now, round__expires__gt=config.now(), enrolment__subscription_key__in=_active()
    )
    # Plain values, and each round once: an invitation with its objects costs ten times as much, and there can be ten thousand at once.
    found = list(
        relevant.values_list("pk", "round_id", "state", "ident", "ticket", "enrolment__subscription_key")
    )
    frames = {pk: _frames(row) for pk, row in Round.objects.in_bulk({pk for _, pk, *_ in found}).items()}
    for pk, round_id, now, ident, ticket, key in found:
        make = partial(_filled, frames[round_id][now], bytes(ident), key, bytes(ticket))
        yield Waiting(key=key, mark=("round", pk, now), make=make)


def _frames(row: Round) -> dict[str, tuple[str, list[bytes]]]:
    """What the frames of a round have in common, encoded once: by the state of an invitation what stands in the second gap, and the
    bytes before, between and after the gaps."""
    ident, key, ticket = os.urandom(16), os.urandom(32), os.urandom(16)
    invite = {
        "t": "invite",
        "id": ident,
        "to": key,
        "task": bytes(row.task_body),
        "sig": bytes(row.task_signature),
        "cohort_size": row.cohort,
    }
    deliver = {
        "t": "deliver",
        "id": ident,
        "payload_url": f"/wallets/payload/{row.payload_digest}",
        "payload_token": row.payload_token,
        "manifest": bytes.fromhex(row.manifest_hash),
        "ticket": ticket,
    }
    cancelled = {"t": "cancelled", "id": ident, "reason": "too_few"}
    return {
        Invitation.State.INVITED: ("key", _gaps(invite, ident, key)),
        Invitation.State.DELIVERED: ("ticket", _gaps(deliver, ident, ticket)),
        Invitation.State.CANCELLED: ("", [*_gaps(cancelled, ident), b""]),
    }


def _gaps(frame: dict[str, Any], *values: bytes) -> list[bytes]:
    """The encoding of a frame without these values, random ones that stand for others; in the order in which they stand in it."""
    rest, pieces = cbor.encode(frame), []
    for value in values:
        before, _, rest = rest.partition(value)
        pieces.append(before)
    return [*pieces, rest]


def _filled(frame: tuple[str, list[bytes]], ident: bytes, key: str, ticket: bytes) -> bytes:
    second, (before, between, after) = frame
    own = bytes.fromhex(key) if second == "key" else ticket if second == "ticket" else b""
    return b"".join((before, ident, between, own, after))
