"""Signing lists and survivors: once per (job, round, kind), logged durably before the signature leaves.

A wallet that sees the distributor's signature knows that nobody was shown another list or other survivors. So the
request is compared with what this domain itself drew and delivered, and a second, different one is refused for ever.
"""

from __future__ import annotations

import uuid

from django.db import IntegrityError, transaction

from aggregation.secagg.messages import Header, ListsRequest, SurvivorsRequest, cohort_randomness
from wallets.distributor import config
from wallets.distributor.errors import Conflict, Unknown
from wallets.distributor.models import ALIAS, Invitation, Round, Signed


class WillNotSign(Conflict):
    code = "will_not_sign"


def sign(*, kind: str, body: bytes, job_id: uuid.UUID, number: int) -> bytes:
    """The signature over a request of the aggregator; the same request gets the same signature.

    Raises:
        ProtocolError: the request is malformed.
        WillNotSign: it does not fit what was delivered, or another one was signed before.
    """
    row = Round.objects.select_related("job").filter(job_id=job_id, number=number).first()
    if row is None:
        raise Unknown("There is no such round.")
    header = Header.from_bytes(bytes(row.header))
    if kind == Signed.Kind.LISTS:
        lists = ListsRequest.from_bytes(body)
        _check_lists(row, header, lists)
        return _once(
            row, kind, lists.digest().hex(), lists.lists_root().hex(), lists.sign(config.private_key())
        )
    if kind == Signed.Kind.SURVIVORS:
        survivors = SurvivorsRequest.from_bytes(body)
        _check_survivors(row, header, survivors)
        root = survivors.lists_root.hex()
        return _once(row, kind, survivors.digest().hex(), root, survivors.sign(config.private_key()))
    raise WillNotSign("Only lists and survivors are signed.")


def _check_lists(row: Round, header: Header, request: ListsRequest) -> None:
    request.check_assignment(header)
    delivered = Invitation.objects.filter(round=row, state=Invitation.State.DELIVERED).select_related(
        "enrolment"
    )
    # The cohort is known to the aggregator a moment before the state here says so.
    accepted = Invitation.objects.filter(round=row, state=Invitation.State.ACCEPTED).select_related(
        "enrolment"
    )
    cohort = [*delivered, *accepted]
    if request.randomness != cohort_randomness(bytes(item.ticket) for item in cohort):
        raise WillNotSign("The lists were drawn with other tickets than the delivered ones.")
    places = {item.enrolment.job_key: item.enrolment.index for item in cohort}
    for members in request.buckets:
        for member in members:
            if places.get(member.job_key.hex()) != member.index or member.expires != row.job.expires:
                raise WillNotSign("The lists name a wallet nothing was delivered to.")


def _check_survivors(row: Round, header: Header, request: SurvivorsRequest) -> None:
    lists = Signed.objects.filter(job_id=row.job_id, round=row.number, kind=Signed.Kind.LISTS).first()
    if lists is None or request.header_hash != header.hash() or request.lists_root.hex() != lists.lists_root:
        raise WillNotSign("The survivors do not belong to the lists that were signed.")
    if request.total < header.release_min:
        raise WillNotSign("Fewer survivors than the release minimum: nothing may be unmasked.")
    if any(positions and len(positions) < header.bucket_min for positions in request.buckets):
        raise WillNotSign("A bucket has fewer survivors than its minimum.")


def _once(row: Round, kind: str, digest: str, lists_root: str, signature: bytes) -> bytes:
    try:
        with transaction.atomic(using=ALIAS, durable=True):
            Signed.objects.create(
                job_id=row.job_id,
                round=row.number,
                kind=kind,
                digest=digest,
                lists_root=lists_root,
                signature=signature,
                created=config.now(),
            )
        return signature
    except IntegrityError:
        known = Signed.objects.get(job_id=row.job_id, round=row.number, kind=kind)
        if known.digest != digest:
            raise WillNotSign(f"Another request for {kind} of this round was signed before.") from None
        return bytes(known.signature)
