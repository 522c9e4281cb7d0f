"""What wallets answer, written in batches: acknowledged mail, enrolments, acceptances, refusals.

An answer counts only for a key its connection has proven. Late and repeated answers change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from django.db import IntegrityError, transaction

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


def record(answers: Sequence[Answer]) -> list[Exception | None]:
    """Write a batch in one transaction; one result per answer, an exception for a refusal."""
    touched_jobs: set[object] = set()
    touched_rounds: set[int] = set()
    results: list[Exception | None] = []
    with transaction.atomic(using=ALIAS):
        for answer in answers:
            try:
                _record_one(answer, touched_jobs, touched_rounds)
                results.append(None)
            except (Refused, ProtocolError) as error:
                results.append(error)
        for job in Job.objects.filter(pk__in=touched_jobs, state=Job.State.ENROLLING):
            if jobs.all_answered(job.id):
                jobs.wake(job.id)
        for row in Round.objects.filter(pk__in=touched_rounds, state=Round.State.INVITING):
            if rounds.settled(row):
                rounds.wake(row.pk)
    return results


def _record_one(answer: Answer, touched_jobs: set[object], touched_rounds: set[int]) -> None:
    if answer.verb is Verb.ACK:
        _acknowledge(answer)
        return
    if not isinstance(answer.ident, bytes) or len(answer.ident) != 16:
        raise Refused("The id must be the 16 bytes of the question.", code="malformed")
    if answer.verb is Verb.ENROL:
        touched_jobs.add(_enrol(answer))
        return
    invitation = (
        Invitation.objects.select_related("round")
        .filter(ident=answer.ident, enrolment__subscription_key__in=answer.keys)
        .first()
    )
    if invitation is not None:
        _answer_invitation(answer, invitation)
        touched_rounds.add(invitation.round_id)
    elif answer.verb is Verb.DECLINE:
        touched_jobs.add(_decline_job(answer))
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


def _answer_invitation(answer: Answer, invitation: Invitation) -> None:
    if invitation.state != Invitation.State.INVITED:
        return
    if invitation.round.state != Round.State.INVITING:
        raise Refused("The round has its cohort already.", code="late")
    accepted = answer.verb is Verb.ACCEPT
    invitation.state = Invitation.State.ACCEPTED if accepted else Invitation.State.DECLINED
    invitation.save(update_fields=["state"])


def _asked(answer: Answer) -> Enrolment:
    row = (
        Enrolment.objects.select_related("job")
        .filter(ident=answer.ident, subscription_key__in=answer.keys)
        .first()
    )
    if row is None:
        raise Refused("There is no such question for this wallet.", code="unknown")
    return row


def _decline_job(answer: Answer) -> object:
    row = _asked(answer)
    if row.state == Enrolment.State.ASKED:
        Enrolment.objects.filter(pk=row.pk, state=Enrolment.State.ASKED).update(
            state=Enrolment.State.DECLINED
        )
    return row.job_id


def _enrol(answer: Answer) -> object:
    row = _asked(answer)
    if row.state == Enrolment.State.ENROLLED and bytes(row.body) == answer.body:
        return row.job_id
    if row.job.state != Job.State.ENROLLING or row.state != Enrolment.State.ASKED:
        raise Refused("The enrolment for this job is closed.", code="late")
    message = EnrolmentMessage.from_bytes(answer.body)
    _check_enrolment(message, row)
    message.verify()
    try:
        with transaction.atomic(using=ALIAS):
            Enrolment.objects.filter(pk=row.pk).update(
                state=Enrolment.State.ENROLLED, job_key=message.job_key.hex(), body=answer.body
            )
    except IntegrityError:
        raise Refused("This job key is taken; make a fresh one.", code="job_key_taken") from None
    return row.job_id


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
