"""Taking the distributor's signature on a request, after verifying it."""

from __future__ import annotations

import uuid

from django.db import transaction

from aggregation.secagg.errors import ProtocolError
from aggregation.server import context
from aggregation.server.errors import Malformed, Unknown
from aggregation.server.models import ALIAS, Bucket, SigningRequest
from aggregation.server.services.transitions import locked
from aggregation.server.wakeups import enqueue


def take_signature(*, request_id: uuid.UUID, signature: bytes) -> None:
    """Store a signature that fits; the same again changes nothing.

    Raises:
        Unknown: no such request (its round may be over).
        Malformed: the signature does not fit.
    """
    request = SigningRequest.objects.filter(pk=request_id).first()
    if request is None:
        raise Unknown("There is no such signing request; its round may be over.")
    if request.signature is not None:
        return
    try:
        _verify(request, signature)
    except ProtocolError as error:
        raise Malformed(f"The signature does not fit the request: {error}", code=error.code) from None
    with transaction.atomic(using=ALIAS):
        locked(request.round_id)
        SigningRequest.objects.filter(pk=request_id, signature__isnull=True).update(signature=signature)
        enqueue("aggregator.step_round", request.round_id)


def _verify(request: SigningRequest, signature: bytes) -> None:
    here = context.of(request.round_id)
    if request.kind == SigningRequest.Kind.LISTS:
        here.draft_roster().signed(signature)
        return
    rows = Bucket.objects.filter(round_id=request.round_id)
    here.draft_statement({row.index: tuple(row.survivors) for row in rows if row.survivors}).signed(signature)
