"""What the collective does with a round's result: collect it once, or end the round."""

from __future__ import annotations

import uuid

from django.db import transaction

from aggregation.server.errors import Conflict
from aggregation.server.models import ALIAS
from aggregation.server.services import transitions
from aggregation.server.services.transitions import find, locked
from aggregation.server.states import Step


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
