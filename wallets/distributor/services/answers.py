"""What wallets answer, written in batches: acknowledged mail, enrolments, acceptances, refusals.

An answer counts only for a key its connection has proven. Late and repeated answers change nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from django.db import transaction

from aggregation.secagg.errors import ProtocolError
from aggregation.secagg.messages import Enrolment as EnrolmentMessage
from wallets.distributor import config
from wallets.distributor.errors import DistributorError
from wallets.distributor.models import ALIAS, Enrolment, Invitation, Job, Mail, Round
from wallets.distributor.services import jobs, rounds


class Verb(StrEnum):
    ACK = "ack"
    ENROL = "enrol"
    ACCEPT = "accept"
    DECLINE = "decline"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer of a wallet. `ident` is what the question carried (a mail's number, else 16 bytes)."""

    verb: Verb
    ident: int | bytes
    keys: frozenset[str]
    outcome: str = ""
    body: bytes = field(default=b"", repr=False)


class Refused(DistributorError):
    """The answer was not taken; the code says why."""


@dataclass(slots=True)
class _Invited:
    """What an answer to an invitation needs of it: ten thousand may come at once, and rows with all they belong to cost four times as much."""

    pk: int
    round_id: int
    state: str
    key: str


@dataclass
class _Batch:
    """The questions a batch answers, by their id on the wire, and what changes."""

    invitations: dict[bytes, _Invited]
    enrolments: dict[bytes, Enrolment]
    round_states: dict[int, str] = field(default_factory=dict)
    """Of the rounds of these invitations, as they are while this batch holds them."""
    taken: set[tuple[uuid.UUID, str]] = field(default_factory=set)
    """(job, job key) of what was enrolled before, as far as this batch could repeat it, and of what it enrols."""
    answered: dict[str, list[int]] = field(default_factory=dict)
    enrolled: list[Enrolment] = field(default_factory=list)
    declined: list[int] = field(default_factory=list)


def record(answers: Sequence[Answer]) -> list[Exception | None]:
    """Write a batch in one transaction; one result per answer, an exception for a refusal."""
    results: list[Exception | None] = []
    with transaction.atomic(using=ALIAS):
        batch = _load(answers)
        for answer in answers:
            try:
                _record_one(batch, answer)
                results.append(None)
            except (Refused, ProtocolError) as error:
                results.append(error)
        _save(batch)
        _wake(batch)
    return results


def _load(answers: Sequence[Answer]) -> _Batch:
    idents = [answer.ident for answer in answers if isinstance(answer.ident, bytes)]
    invitations = Invitation.objects.filter(ident__in=idents).values_list(
        "ident", "pk", "round_id", "state", "enrolment__subscription_key"
    )
    by_ident = {bytes(ident): _Invited(*values) for ident, *values in invitations}
    rest = [ident for ident in idents if ident not in by_ident]
    enrolments = Enrolment.objects.filter(ident__in=rest).select_related("job") if rest else ()
    batch = _Batch(invitations=by_ident, enrolments={bytes(row.ident): row for row in enrolments})
    _lock(batch)
    batch.taken = _taken(answers, batch)
    return batch


def _taken(answers: Sequence[Answer], batch: _Batch) -> set[tuple[uuid.UUID, str]]:
    """The job keys of these answers that are in use. Looked up for all at once: one by one it is a query for each enrolment."""
    offered = set()
    for answer in answers:
        if answer.verb is Verb.ENROL and isinstance(answer.ident, bytes) and answer.ident in batch.enrolments:
            with suppress(ProtocolError):  # refused by name when its turn comes
                offered.add(EnrolmentMessage.from_bytes(answer.body).job_key.hex())
    if not offered:
        return set()
    jobs_here = {row.job_id for row in batch.enrolments.values()}
    rows = Enrolment.objects.filter(job_id__in=jobs_here, job_key__in=offered)
    return {(job_id, str(key)) for job_id, key in rows.values_list("job_id", "job_key")}


def _lock(batch: _Batch) -> None:
    """Nobody fixes a cohort or freezes a log while answers to them are written; what was decided meanwhile counts for these answers.

    Without it an acceptance could be written after the cohort was counted, and more wallets would be visited than were paid for.
    """
    jobs_here = {row.job_id for row in batch.enrolments.values()}
    rounds_here = {row.round_id for row in batch.invitations.values()}
    job_states = dict(
        Job.objects.select_for_update().filter(pk__in=jobs_here).order_by("pk").values_list("pk", "state")
    )
    batch.round_states = dict(
        Round.objects.select_for_update().filter(pk__in=rounds_here).order_by("pk").values_list("pk", "state")
    )
    for enrolment in batch.enrolments.values():
        enrolment.job.state = job_states[enrolment.job_id]


def _save(batch: _Batch) -> None:
    for state, rows in batch.answered.items():
        Invitation.objects.filter(pk__in=rows, state=Invitation.State.INVITED).update(state=state)
    if batch.declined:
        Enrolment.objects.filter(pk__in=batch.declined, state=Enrolment.State.ASKED).update(
            state=Enrolment.State.DECLINED
        )
    if batch.enrolled:
        Enrolment.objects.bulk_update(batch.enrolled, ["state", "job_key", "body"], batch_size=200)


def _wake(batch: _Batch) -> None:
    touched = {row.job_id for row in batch.enrolments.values()}
    for job in Job.objects.filter(pk__in=touched, state=Job.State.ENROLLING) if touched else ():
        if jobs.all_answered(job.id):
            jobs.wake(job.id)
    running = {row.round_id for row in batch.invitations.values()}
    for row in Round.objects.filter(pk__in=running, state=Round.State.INVITING) if running else ():
        if rounds.settled(row):
            rounds.wake(row.pk)


def _record_one(batch: _Batch, answer: Answer) -> None:
    if answer.verb is Verb.ACK:
        _acknowledge(answer)
        return
    if not isinstance(answer.ident, bytes) or len(answer.ident) != 16:
        raise Refused("The id must be the 16 bytes of the question.", code="malformed")
    invitation = batch.invitations.get(answer.ident)
    if answer.verb is Verb.ENROL:
        _enrol(batch, answer)
    elif invitation is not None and invitation.key in answer.keys:
        _answer_invitation(batch, answer, invitation)
    elif answer.verb is Verb.DECLINE:
        _decline_job(batch, answer)
    else:
        raise Refused("There is no such invitation for this wallet.", code="unknown")


def _acknowledge(answer: Answer) -> None:
    if answer.outcome not in {Mail.State.DONE.value, Mail.State.REFUSED.value} or not isinstance(
        answer.ident, int
    ):
        raise Refused("An acknowledgement names the mail and done or refused.", code="malformed")
    Mail.objects.filter(pk=answer.ident, key__in=answer.keys, state=Mail.State.WAITING).update(
        state=answer.outcome, body=""
    )


def _answer_invitation(batch: _Batch, answer: Answer, invitation: _Invited) -> None:
    if invitation.state != Invitation.State.INVITED:
        return
    if batch.round_states[invitation.round_id] != Round.State.INVITING:
        raise Refused("The round has its cohort already.", code="late")
    accepted = answer.verb is Verb.ACCEPT
    invitation.state = (Invitation.State.ACCEPTED if accepted else Invitation.State.DECLINED).value
    batch.answered.setdefault(invitation.state, []).append(invitation.pk)


def _asked(batch: _Batch, answer: Answer) -> Enrolment:
    assert isinstance(answer.ident, bytes)
    row = batch.enrolments.get(answer.ident)
    if row is None or row.subscription_key not in answer.keys:
        raise Refused("There is no such question for this wallet.", code="unknown")
    return row


def _decline_job(batch: _Batch, answer: Answer) -> None:
    row = _asked(batch, answer)
    if row.state == Enrolment.State.ASKED:
        row.state = Enrolment.State.DECLINED
        batch.declined.append(row.pk)


def _enrol(batch: _Batch, answer: Answer) -> None:
    row = _asked(batch, answer)
    if row.state == Enrolment.State.ENROLLED and bytes(row.body) == answer.body:
        return
    if row.job.state != Job.State.ENROLLING or row.state != Enrolment.State.ASKED:
        raise Refused("The enrolment for this job is closed.", code="late")
    message = EnrolmentMessage.from_bytes(answer.body)
    _check_enrolment(message, row)
    message.verify()
    _check_fresh(batch, message.job_key.hex(), row)
    row.state, row.job_key, row.body = Enrolment.State.ENROLLED, message.job_key.hex(), answer.body
    batch.enrolled.append(row)


def _check_fresh(batch: _Batch, job_key: str, row: Enrolment) -> None:
    if (row.job_id, job_key) in batch.taken:
        raise Refused("This job key is taken; make a fresh one.", code="job_key_taken")
    batch.taken.add((row.job_id, job_key))


def _check_enrolment(message: EnrolmentMessage, row: Enrolment) -> None:
    expected = (
        bytes.fromhex(row.subscription_key),
        row.job.id.bytes,
        row.job.collective_id.bytes,
        bytes.fromhex(row.job.manifest_hash),
        row.job.expires,
    )
    given = (
        message.subscription_key,
        message.job,
        message.collective,
        message.manifest_hash,
        message.expires,
    )
    if given != expected or (row.job.expires or 0) <= config.now():
        raise Refused(
            "The enrolment is for another job, collective, algorithm or expiry.", code="wrong_enrolment"
        )
