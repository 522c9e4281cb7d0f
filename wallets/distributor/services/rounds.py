"""Rounds at the distributor: invite, count who accepts, then deliver to all of them or cancel for all of them.

`inviting → delivering → delivered → closed`, or `inviting → short`. The cohort is fixed in the transaction that leaves
`inviting`; the aggregator is told before any wallet is, and told again until it answers.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Q

from aggregation.secagg.errors import ProtocolError
from aggregation.secagg.messages import Header
from aggregation.wire import cbor
from aggregation.wire.errors import WireError
from wallets.distributor import clients, config
from wallets.distributor.errors import AggregatorRefused, Conflict, Malformed, Unknown
from wallets.distributor.models import ALIAS, Invitation, Job, Payload, Round
from wallets.distributor.services import draw
from wallets.distributor.services.jobs import locked
from wallets.distributor.wakeups import enqueue, tell_hubs

MILLION = 1_000_000
MAX_TASK = 16 * 1024


@dataclass(frozen=True, kw_only=True)
class RoundOrder:
    """What the collective asks for. `over_selection_ppm`: 1,100,000 seeks 1.1 acceptances per place in the cohort.

    `coin_ppm`: 0 invites in turn until enough accepted; else every wallet is invited once with that chance in a million, nobody takes the
    place of one who declines, and a round that more accept than are paid for is not held.
    """

    number: int
    task_body: bytes
    task_signature: bytes
    payload: bytes
    cohort: int
    minimum: int
    over_selection_ppm: int
    max_deliveries: int
    accept_seconds: int
    coin_ppm: int = 0


@dataclass(frozen=True, kw_only=True)
class Task:
    """The parts of a signed task the distributor acts on. The wallets check the rest, and the signature."""

    header: Header
    manifest_hash: bytes
    expires: int


def read_task(body: bytes) -> Task:
    """Raises:
    Malformed: not a task with an aggregation header.
    """
    try:
        values = cbor.decode(body)
        header = Header.from_bytes(values["header"])
        manifest, expires = values["manifest"], values["expires"]
    except (WireError, ProtocolError, KeyError, TypeError) as error:
        raise Malformed("task_body is not a task with an aggregation header.") from error
    if not isinstance(manifest, bytes) or len(manifest) != 32 or not isinstance(expires, int):
        raise Malformed("The task's manifest must be 32 bytes and its expiry unix seconds.")
    return Task(header=header, manifest_hash=manifest, expires=expires)


@transaction.atomic(using=ALIAS)
def open_round(*, job_id: uuid.UUID, order: RoundOrder) -> Round:
    """Draw a first wave and invite it. Idempotent by (job, round).

    Raises:
        Conflict: the job is not frozen or has ended, the round runs with another task, or a later round exists.
    """
    job = locked(job_id)
    known = Round.objects.filter(job=job, number=order.number).first()
    if known is not None:
        if bytes(known.task_body) != order.task_body:
            raise Conflict("This round was opened with another task.")
        return known
    if job.state != Job.State.FROZEN or not job.members_told:
        raise Conflict(f"The job is {job.state}; a round needs a frozen enrolment log.", code="not_frozen")
    if Round.objects.filter(job=job, number__gt=order.number).exists():
        raise Conflict("A later round exists; rounds only go forward.")
    task = read_task(order.task_body)
    _check_header(job, order, task.header)
    _close_earlier(job)
    digest = hashlib.sha256(order.payload).hexdigest()
    Payload.objects.get_or_create(digest=digest, defaults={"body": order.payload, "created": config.now()})
    wanted = min(-(-order.cohort * order.over_selection_ppm // MILLION), order.max_deliveries)
    row = Round.objects.create(
        job=job,
        number=order.number,
        task_body=order.task_body,
        task_signature=order.task_signature,
        header=task.header.to_bytes(),
        manifest_hash=task.manifest_hash.hex(),
        payload_digest=digest,
        payload_token=secrets.token_hex(32),
        cohort=order.cohort,
        minimum=order.minimum,
        wanted=wanted,
        coin_ppm=order.coin_ppm,
        max_deliveries=order.max_deliveries,
        accept_until=config.now() + order.accept_seconds,
        expires=task.expires,
        created=config.now(),
    )
    drawn = draw.by_coin(job, row.number, row.coin_ppm) if row.coin_ppm else None
    draw.invite(row, draw.candidates(job, row.number, wanted) if drawn is None else drawn)
    tell_hubs(round=row.pk)
    return row


def _check_header(job: Job, order: RoundOrder, header: Header) -> None:
    if not order.minimum <= order.cohort or not order.minimum <= order.max_deliveries:
        raise Malformed("minimum must not exceed cohort and max_deliveries.")
    if (header.job, header.round) != (job.id.bytes, order.number):
        raise Malformed("The task's header belongs to another job or round.")
    if (header.log_root.hex(), header.log_size) != (job.log_root, job.log_size):
        raise Malformed("The task's header names another enrolment log than the frozen one.")
    if header.distributor_key != config.public_key():
        raise Malformed("The task's header names another distributor key.")


def _close_earlier(job: Job) -> None:
    for row in Round.objects.filter(job=job, state=Round.State.INVITING):
        cancel(row)
    over = Round.objects.filter(job=job, state__in=[Round.State.DELIVERING, Round.State.DELIVERED])
    over.update(state=Round.State.CLOSED)
    _drop_payloads(job)


def _drop_payloads(job: Job) -> None:
    unused = set(
        Round.objects.filter(job=job)
        .exclude(state=Round.State.DELIVERED)
        .values_list("payload_digest", flat=True)
    )
    used = set(
        Round.objects.filter(
            state__in=[Round.State.INVITING, Round.State.DELIVERING, Round.State.DELIVERED]
        ).values_list("payload_digest", flat=True)
    )
    Payload.objects.filter(digest__in=unused - used).delete()


def cancel(row: Round) -> None:
    """Nobody gets anything: the round is short, the accepted keep their turn. Inside the caller's transaction."""
    accepted = Invitation.objects.filter(round=row, state=Invitation.State.ACCEPTED)
    draw.give_back(list(accepted.values_list("enrolment_id", flat=True)))
    Invitation.objects.filter(
        round=row, state__in=[Invitation.State.INVITED, Invitation.State.ACCEPTED]
    ).update(state=Invitation.State.CANCELLED)
    Round.objects.filter(pk=row.pk).update(state=Round.State.SHORT)
    tell_hubs(round=row.pk)


def settled(row: Round) -> bool:
    """Whether nothing can be gained by waiting: enough accepted, or nobody is left to answer."""
    accepted, pending = _answered(row)
    return pending == 0 or (accepted >= row.wanted and not row.coin_ppm)


def _answered(row: Round) -> tuple[int, int]:
    """How many accepted, and how many were not heard of yet. Counted, not loaded: it is asked with every batch of answers and every sweep."""
    counts = Invitation.objects.filter(round=row).aggregate(
        accepted=Count("pk", filter=Q(state=Invitation.State.ACCEPTED)),
        pending=Count("pk", filter=Q(state=Invitation.State.INVITED)),
    )
    return counts["accepted"], counts["pending"]


def step(round_id: int) -> None:
    """Whatever is due for this round. Safe to call at any time, by anyone, twice.

    Raises:
        AggregatorDown: the cohort stands; it is told at the next call.
    """
    _decide(round_id)
    row = Round.objects.select_related("job").filter(pk=round_id, state=Round.State.DELIVERING).first()
    if row is None:
        return
    try:
        clients.put_cohort(row.job_id, row.number, _cohort_body(row))
    except AggregatorRefused:
        with transaction.atomic(using=ALIAS):
            if Round.objects.select_for_update().get(pk=round_id).state == Round.State.DELIVERING:
                cancel(row)
        return
    _deliver(row)


@transaction.atomic(using=ALIAS)
def _decide(round_id: int) -> None:
    """Top up, or leave `inviting` one way or the other."""
    row = Round.objects.select_for_update().select_related("job").filter(pk=round_id).first()
    if row is None:
        raise Unknown("There is no such round.")
    if row.state != Round.State.INVITING:
        return
    _after_a_clock_set_back(row)
    accepted, pending = _answered(row)
    if row.coin_ppm:
        if pending and config.now() < row.accept_until:
            return
    elif accepted < row.wanted and config.now() < row.accept_until:
        missing = row.wanted - accepted - pending
        more = draw.invite(row, draw.candidates(row.job, row.number, missing)) if missing > 0 else 0
        if more:
            tell_hubs(round=row.pk)
        if pending + more:
            return
        if accepted < row.minimum:
            return  # others may come back before the time is up
    most = row.max_deliveries if row.coin_ppm else accepted
    if not row.minimum <= accepted <= most:
        cancel(row)
        return
    _fix_cohort(row)


def _after_a_clock_set_back(row: Round) -> None:
    """A round from the future gets its time for accepting again from now, or it would wait until its hour comes once more."""
    now = config.now()
    if row.created > now + 1:
        row.accept_until, row.created = now + row.accept_until - row.created, now
        row.save(update_fields=["accept_until", "created"])


def _fix_cohort(row: Round) -> None:
    rank = draw.ranking(row.job, row.number)
    said_yes = Invitation.objects.filter(round=row, state=Invitation.State.ACCEPTED)
    accepted = list(said_yes.select_related("enrolment").defer("enrolment__body"))
    accepted.sort(key=lambda item: rank(item.enrolment.job_key or ""))
    surplus = accepted[row.max_deliveries :]
    draw.give_back([item.enrolment_id for item in surplus])
    Invitation.objects.filter(pk__in=[item.pk for item in surplus]).update(state=Invitation.State.CANCELLED)
    Invitation.objects.filter(round=row, state=Invitation.State.INVITED).update(
        state=Invitation.State.DECLINED
    )
    Round.objects.filter(pk=row.pk).update(state=Round.State.DELIVERING)


def _cohort_body(row: Round) -> dict[str, object]:
    rows = Invitation.objects.filter(round=row, state=Invitation.State.ACCEPTED).select_related("enrolment")
    tickets = {str(item.enrolment.job_key): bytes(item.ticket).hex() for item in rows}
    return {"job_keys": sorted(tickets), "tickets": tickets}


@transaction.atomic(using=ALIAS)
def _deliver(row: Round) -> None:
    moved = Round.objects.filter(pk=row.pk, state=Round.State.DELIVERING).update(state=Round.State.DELIVERED)
    if moved:
        Invitation.objects.filter(round=row, state=Invitation.State.ACCEPTED).update(
            state=Invitation.State.DELIVERED
        )
        tell_hubs(round=row.pk)


def tell_left(invitation_id: int) -> None:
    """A wallet of a fixed cohort was revoked: the others need not wait for it. Losing this costs them seconds.

    Raises:
        AggregatorDown: it could not be told.
    """
    left = Invitation.objects.select_related("round", "enrolment").filter(pk=invitation_id).first()
    if left is not None and left.enrolment.job_key:
        clients.delete_place(left.round.job_id, left.round.number, left.enrolment.job_key)


def close_expired() -> None:
    """Rounds whose task has expired are over for the distributor, whatever became of them."""
    over = Round.objects.filter(state=Round.State.DELIVERED, expires__lte=config.now())
    if over.exists():  # as in `routes.expire_mail`
        over.update(state=Round.State.CLOSED)


def wake(round_id: int) -> None:
    enqueue("distributor.step_round", round_id)
