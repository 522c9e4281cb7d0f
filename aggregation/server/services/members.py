"""The frozen log of a job, as the distributor hands it over."""

from __future__ import annotations

import uuid

from django.db import transaction

from aggregation.secagg.errors import ProtocolError
from aggregation.secagg.messages import Enrolment
from aggregation.secagg.server import MemberLog, accept_enrolment
from aggregation.server import config
from aggregation.server.errors import Conflict, Malformed
from aggregation.server.models import ALIAS, Job, Member
from aggregation.wire import signing
from aggregation.wire.errors import WireError

LABEL_LOG = b"cssi/v1/log"


def put_members(
    *,
    job_id: uuid.UUID,
    collective_id: uuid.UUID,
    rate: int,
    manifest_hash: str,
    enrolments: list[bytes],
    log_root: str,
    signature: bytes,
) -> Job:
    """Store who may take part. Every enrolment's signature, the root and the distributor's signature on it are checked.

    Raises:
        Malformed: an enrolment is not for this job, or the root or signature does not fit.
        Conflict: another log was stored before.
    """
    known = Job.objects.filter(id=job_id).first()
    if known is not None:
        if (known.log_root, known.collective_id, known.rate) != (log_root, collective_id, rate):
            raise Conflict("This job's log was frozen with other members.")
        return known
    members = _verified(job_id, collective_id, manifest_hash, enrolments)
    log = MemberLog(job=job_id.bytes, enrolments=members)
    if log.root.hex() != log_root:
        raise Malformed("The log root does not belong to these enrolments.", code="wrong_root")
    body = {"job": job_id.bytes, "root": log.root, "size": log.size}
    try:
        signing.verify(config.service_keys()["distributor"], LABEL_LOG, body, signature)
    except WireError as error:
        raise Malformed("The log root is not signed by the distributor.", code=error.code) from None
    return _store(job_id, collective_id, rate, manifest_hash, log, members)


def _verified(
    job_id: uuid.UUID, collective_id: uuid.UUID, manifest_hash: str, enrolments: list[bytes]
) -> list[Enrolment]:
    try:
        return [
            accept_enrolment(
                data,
                job=job_id.bytes,
                collective=collective_id.bytes,
                manifest_hash=bytes.fromhex(manifest_hash),
                now=config.now(),
            )
            for data in enrolments
        ]
    except ProtocolError as error:
        raise Malformed(f"An enrolment is refused: {error}", code=error.code) from None


@transaction.atomic(using=ALIAS)
def _store(
    job_id: uuid.UUID,
    collective_id: uuid.UUID,
    rate: int,
    manifest_hash: str,
    log: MemberLog,
    members: list[Enrolment],
) -> Job:
    job, created = Job.objects.get_or_create(
        id=job_id,
        defaults={
            "collective_id": collective_id,
            "rate": rate,
            "manifest_hash": manifest_hash,
            "log_root": log.root.hex(),
            "log_size": log.size,
            "created": config.now(),
        },
    )
    if created:
        Member.objects.bulk_create(
            [
                Member(
                    job=job,
                    index=index,
                    job_key=member.job_key.hex(),
                    subscription_key=member.subscription_key.hex(),
                    body=member.to_bytes(),
                )
                for index, member in enumerate(members)
            ],
            batch_size=500,
        )
    return job
