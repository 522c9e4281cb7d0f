"""Jobs: asking subscribers to enrol, freezing the log, telling the aggregator who is in it.

The cohort key exists, and its hash is published, before the log freezes; so the distributor can neither choose cohorts
after it knows the members nor redraw them (docs/protocol/interfaces.md, section 1).
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from typing import Any

from django.db import transaction
from django.db.models import F

from aggregation.secagg.messages import log_leaf
from aggregation.wire import merkle, signing
from wallets.distributor import clients, config
from wallets.distributor.errors import Conflict, Malformed, Unknown
from wallets.distributor.models import ALIAS, Enrolment, Job, Round, Subscriber
from wallets.distributor.values import hex_bytes, integer
from wallets.distributor.wakeups import enqueue, tell_hubs

LABEL_LOG = b"cssi/v1/log"
MAX_ANNOUNCEMENT = 32 * 1024


def create(*, job_id: uuid.UUID, collective_id: uuid.UUID) -> Job:
    """The job with its committed cohort key; repeating the call gives the same job."""
    key = os.urandom(32)
    job, _ = Job.objects.get_or_create(
        id=job_id,
        defaults={
            "collective_id": collective_id,
            "cohort_key": key,
            "cohort_commitment": hashlib.sha256(key).hexdigest(),
            "created": config.now(),
        },
    )
    if job.collective_id != collective_id:
        raise Conflict("This job belongs to another collective.")
    return job


@transaction.atomic(using=ALIAS)
def announce(*, job_id: uuid.UUID, envelope: dict[str, Any], enrol_seconds: int) -> Job:
    """Ask every active subscriber to enrol; the log freezes when all answered or after `enrol_seconds`.

    Raises:
        Conflict: another announcement was made before, or the job has ended.
    """
    job = locked(job_id)
    text = json.dumps(envelope, separators=(",", ":"), ensure_ascii=False)
    if job.announcement:
        if job.announcement != text:
            raise Conflict("This job was announced with another text.")
        return job
    if job.state != Job.State.CREATED:
        raise Conflict("The job has ended.", code="ended")
    document = envelope.get("document")
    if not isinstance(document, dict) or len(text.encode()) > MAX_ANNOUNCEMENT:
        raise Malformed("The announcement must be a signed envelope of at most 32 KiB.")
    if document.get("job_id") != str(job.id) or document.get("collective_id") != str(job.collective_id):
        raise Malformed("The announcement names another job or collective.")
    if document.get("cohort_commitment") != job.cohort_commitment:
        raise Malformed("The announcement names another cohort commitment than the one given out.")
    job.announcement = text
    job.manifest_hash = hex_bytes(document.get("manifest_hash"), "manifest_hash")
    job.rate = str(document.get("rate", ""))[:40]
    if not job.rate.isdecimal():
        raise Malformed("rate must be a decimal string of base units.")
    job.expires = integer(document, "expires")
    job.enrol_until = config.now() + enrol_seconds
    job.state = Job.State.ENROLLING
    job.save()
    _ask_everyone(job)
    tell_hubs(job=str(job.id))
    return job


def _ask_everyone(job: Job) -> None:
    keys = Subscriber.objects.filter(
        collective_id=job.collective_id, state=Subscriber.State.ACTIVE, expires__gt=config.now()
    )
    Enrolment.objects.bulk_create(
        [
            Enrolment(job=job, subscription_key=key, ident=os.urandom(16))
            for key in keys.values_list("key", flat=True)
        ],
        ignore_conflicts=True,
        batch_size=500,
    )


def locked(job_id: uuid.UUID) -> Job:
    """The job's row, locked until the transaction ends."""
    job = Job.objects.select_for_update().filter(id=job_id).first()
    if job is None:
        raise Unknown("There is no such job; create it first.")
    return job


def all_answered(job_id: uuid.UUID) -> bool:
    return not Enrolment.objects.filter(job_id=job_id, state=Enrolment.State.ASKED).exists()


def step(job_id: uuid.UUID) -> None:
    """Whatever is due for this job: freeze, then tell the aggregator. Safe to call at any time, by anyone, twice.

    Raises:
        AggregatorDown: the freeze stands; the members are told at the next call.
    """
    _freeze_if_due(job_id)
    job = Job.objects.get(id=job_id)
    if job.state == Job.State.FROZEN and job.log_size and not job.members_told:
        clients.put_members(job_id, members_body(job))
        Job.objects.filter(id=job_id).update(members_told=True)


@transaction.atomic(using=ALIAS)
def _freeze_if_due(job_id: uuid.UUID) -> None:
    job = locked(job_id)
    if job.state != Job.State.ENROLLING:
        return
    now, until = config.now(), job.enrol_until or 0
    if job.created > now + 1:  # the clock was set back: the time for enrolling begins again
        until = job.enrol_until = now + max(0, until - job.created)
        job.created = now
        job.save(update_fields=["enrol_until", "created"])
    if now < until and not all_answered(job_id):
        return
    # Sorted by job key: the order of the log says nothing about when a wallet answered.
    members = list(Enrolment.objects.filter(job=job, state=Enrolment.State.ENROLLED).order_by("job_key"))
    for index, member in enumerate(members):
        member.index = index
    Enrolment.objects.bulk_update(members, ["index"], batch_size=200)
    job.log_root = merkle.root(leaf_of(job, member) for member in members).hex()
    job.log_size = len(members)
    job.state = Job.State.FROZEN
    job.save(update_fields=["log_root", "log_size", "state"])
    tell_hubs(job=str(job.id))


def leaf_of(job: Job, enrolment: Enrolment) -> bytes:
    assert enrolment.job_key is not None
    return log_leaf(job=job.id.bytes, job_key=bytes.fromhex(enrolment.job_key), expires=job.expires or 0)


def log_signature(job: Job) -> bytes:
    body = {"job": job.id.bytes, "root": bytes.fromhex(job.log_root), "size": job.log_size}
    return signing.sign(config.private_key(), LABEL_LOG, body)


def members_body(job: Job) -> dict[str, Any]:
    """What the aggregator is told: the enrolments in log order, and the signed root."""
    rows = Enrolment.objects.filter(job=job, index__isnull=False).order_by("index")
    return {
        "collective_id": str(job.collective_id),
        "rate": job.rate,
        "manifest_hash": job.manifest_hash,
        "enrolments": [clients.b64(bytes(body)) for body in rows.values_list("body", flat=True)],
        "log_root": job.log_root,
        "signature": clients.b64(log_signature(job)),
    }


@transaction.atomic(using=ALIAS)
def end(*, job_id: uuid.UUID) -> None:
    """No more rounds. Open invitations are cancelled; what was delivered runs on at the aggregator."""
    from wallets.distributor.services import rounds

    job = locked(job_id)
    if job.state == Job.State.ENDED:
        return
    for open_round in Round.objects.filter(job=job, state=Round.State.INVITING):
        rounds.cancel(open_round)
    Round.objects.filter(job=job).exclude(state=Round.State.SHORT).update(state=Round.State.CLOSED)
    if job.log_root:
        Job.objects.filter(id=job_id).update(state=Job.State.ENDED)
    else:
        Job.objects.filter(id=job_id).update(state=Job.State.ENDED, enrol_until=F("created"))


def wake(job_id: uuid.UUID) -> None:
    enqueue("distributor.step_job", str(job_id))
