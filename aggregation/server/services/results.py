"""What the collective does with a round's result: collect it once, or end the round."""

from __future__ import annotations

import uuid

import numpy as np
from django.db import transaction

from aggregation.secagg.vectors import Integers
from aggregation.server.errors import Conflict
from aggregation.server.models import ALIAS
from aggregation.server.services import transitions
from aggregation.server.services.transitions import find, locked
from aggregation.server.states import Step

NARROW = np.iinfo(np.int32)


def stored_sum(total: Integers) -> bytes:
    """A sum as its column holds it: little-endian words of four bytes where all fit, else of eight."""
    narrow = NARROW.min <= total.min() and total.max() <= NARROW.max
    return total.astype("<i4" if narrow else "<i8", copy=False).tobytes()


def released_sum(stored: bytes, d: int) -> Integers:
    """What `stored_sum` was made from.

    Args:
        d: how many words it has.
    """
    return np.frombuffer(stored, dtype="<i4" if len(stored) == 4 * d else "<i8").astype("<i8", copy=False)


@transaction.atomic(using=ALIAS)
def collected(*, job_id: uuid.UUID, number: int, checkpoint_hash: str) -> None:
    """The sum was turned into a checkpoint: erase it. Repeating the call changes nothing.

    Raises:
        Conflict: there is no sum, or it went into another checkpoint.
    """
    row = locked(find(job_id, number).pk)
    if Step(row.step) is Step.POSTED:
        if row.collected_checkpoint != checkpoint_hash:
            raise Conflict("The sum of this round went into another checkpoint.")
        return
    if Step(row.step) is not Step.RELEASED:
        raise Conflict("The round has no sum to collect.", code="no_sum")
    row.sum, row.collected_checkpoint = None, checkpoint_hash
    transitions.move(row, Step.POSTED)


def stop(*, job_id: uuid.UUID, number: int) -> None:
    """The collective ends the round; receipts stay owed."""
    transitions.abandon(
        round_id=find(job_id, number).pk, reason="stopped", detail="The collective ended the round."
    )
