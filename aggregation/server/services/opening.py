"""Opening a round for a collective, and taking its cohort from the distributor."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass, field

from django.db import transaction

from aggregation.privacy.rotation import seed_of
from aggregation.secagg.errors import ProtocolError
from aggregation.secagg.messages import Header, PhaseSeconds, cohort_randomness
from aggregation.server import config
from aggregation.server.errors import Conflict, Malformed
from aggregation.server.models import ALIAS, Job, Member, Participant, Round
from aggregation.server.services.transitions import find, locked, move
from aggregation.server.states import OVER, Step
from aggregation.server.wakeups import enqueue


@dataclass(frozen=True, kw_only=True)
class RoundOrder:
    """What a collective asks for; together with the frozen log it becomes the header. Hashes are hex."""

    manifest_hash: str
    checkpoint_hash: str
    requirement_hash: str
    d: int
    clip_micro: int
    noise_micro: int
    q: int
    f: int
    bucket_size: int
    bucket_min: int
    release_min: int
    cohort: int
    development: bool
    threshold_ppm: int = config.THRESHOLD_PPM
    rotated: bool = False
    """Updates are turned by the round's public seed before they are rounded (`aggregation.privacy.rotation`)."""
    rule: str = "sum"
    """How bucket sums are put together (`aggregation.tampering.rules`)."""
    phase_seconds: dict[str, int] = field(default_factory=dict)

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@transaction.atomic(using=ALIAS)
def open_round(*, job_id: uuid.UUID, number: int, order: RoundOrder) -> Round:
    """The round with its header; repeating the call gives the same one.

    Raises:
        Conflict: the members are not known yet, an earlier round is running, or the round was opened otherwise.
        Malformed: the header would be outside what the protocol allows.
    """
    job = Job.objects.select_for_update().filter(id=job_id).first()
    if job is None:
        raise Conflict("The members of this job are not known yet; try again later.", code="no_members")
    known = Round.objects.filter(job=job, number=number).first()
    if known is not None:
        if known.request_digest != order.digest():
            raise Conflict("This round was opened with other parameters.")
        return known
    if Round.objects.filter(job=job, number__gt=number).exists():
        raise Conflict("A later round exists; rounds only go forward.")
    if Round.objects.filter(job=job).exclude(step__in=[step.value for step in OVER]).exists():
        raise Conflict("An earlier round of this job is still running; end it first.", code="round_running")
    if order.manifest_hash != job.manifest_hash:
        raise Malformed("The job was enrolled for another algorithm.", code="wrong_manifest")
    header = _header(job, number, order)
    return Round.objects.create(
        job=job,
        number=number,
        header=header.to_bytes(),
        header_hash=header.hash().hex(),
        requirement_hash=order.requirement_hash,
        cohort=order.cohort,
        request_digest=order.digest(),
        rule=order.rule,
        created=config.now(),
        since=config.now(),
        deadline=config.now() + config.COHORT_SECONDS,
    )


def _header(job: Job, number: int, order: RoundOrder) -> Header:
    if order.development and not config.development_minima():
        raise Malformed("This server does not allow lowered minima.", code="development_not_allowed")
    try:
        return Header(
            job=job.id.bytes,
            round=number,
            manifest_hash=bytes.fromhex(order.manifest_hash),
            checkpoint_hash=bytes.fromhex(order.checkpoint_hash),
            d=order.d,
            q=order.q,
            f=order.f,
            clip_micro=order.clip_micro,
            noise_micro=order.noise_micro,
            rotation_seed=_seed(job, number, order) if order.rotated else b"",
            bucket_size=order.bucket_size,
            bucket_min=order.bucket_min,
            release_min=order.release_min,
            threshold_ppm=order.threshold_ppm,
            log_root=bytes.fromhex(job.log_root),
            log_size=job.log_size,
            distributor_key=config.service_keys()["distributor"],
            deadlines=PhaseSeconds(**order.phase_seconds),
            development=order.development,
        )
    except (ProtocolError, TypeError) as error:
        raise Malformed(f"No header can be made of this: {error}", code="bad_header") from None


def _seed(job: Job, number: int, order: RoundOrder) -> bytes:
    return seed_of(job=job.id.bytes, number=number, checkpoint=bytes.fromhex(order.checkpoint_hash))


@transaction.atomic(using=ALIAS)
def put_cohort(*, job_id: uuid.UUID, number: int, tickets: dict[str, str]) -> None:
    """The wallets something is delivered to: job key → ticket. From here on they are expected.

    Raises:
        Conflict: another cohort was named before, or the round is over.
        Malformed: a job key is not in the frozen log.
    """
    row = locked(find(job_id, number).pk)
    if Step(row.step) is not Step.OPENED:
        if Step(row.step) is Step.ABANDONED:
            raise Conflict("The round is over.", code="round_over")
        if set(row.participants.values_list("job_key", flat=True)) != set(tickets):
            raise Conflict("Another cohort was named for this round.")
        return
    members = dict(
        Member.objects.filter(job_id=job_id, job_key__in=list(tickets)).values_list(
            "job_key", "subscription_key"
        )
    )
    if len(members) != len(tickets) or not tickets:
        raise Malformed("The cohort names a job key that is not in the frozen log.", code="stranger")
    gone = config.precise_now() + config.JOIN_GRACE_SECONDS - config.GRACE_SECONDS
    Participant.objects.bulk_create(
        [
            Participant(round=row, job_key=key, subscription_key=members[key], ticket=ticket, gone_since=gone)
            for key, ticket in sorted(tickets.items())
        ],
        batch_size=500,
    )
    row.expected = len(tickets)
    row.randomness = cohort_randomness(bytes.fromhex(ticket) for ticket in tickets.values()).hex()
    move(row, Step.ADVERTISE)


@transaction.atomic(using=ALIAS)
def will_not_come(*, job_id: uuid.UUID, number: int, job_key: str) -> None:
    """A wallet of the cohort was revoked before it joined: the round does not wait for it.

    Its place stays, because the cohort is bound into the lists; a wallet that is here already says itself what it does.
    """
    row = locked(find(job_id, number).pk)
    absent = row.participants.filter(job_key=job_key, state=Participant.State.EXPECTED, hub="")
    if absent.update(gone_since=0):
        enqueue("aggregator.step_round", row.pk)
