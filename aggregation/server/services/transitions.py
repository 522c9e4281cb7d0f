"""Moving a round along its states: always in a transaction that holds the row, always logged with a reason."""

from __future__ import annotations

import logging
import shutil
import uuid

from django.db import transaction

from aggregation.secagg.messages import Header
from aggregation.server import config
from aggregation.server.errors import Conflict, Unknown
from aggregation.server.models import (
    ALIAS,
    Bucket,
    MaskedInput,
    Participant,
    PhaseMessage,
    Round,
    RoundTransition,
    SigningRequest,
    Visit,
)
from aggregation.server.states import COLLECTING, OVER, SIGNING, Step, may_move
from aggregation.server.wakeups import tell_hubs

logger = logging.getLogger(__name__)
REASON_LENGTH = 200


def locked(round_id: int) -> Round:
    """The round's row, locked until the transaction ends."""
    row = Round.objects.select_for_update().filter(pk=round_id).first()
    if row is None:
        raise Unknown("There is no such round.")
    return row


def find(job_id: uuid.UUID, number: int) -> Round:
    row = Round.objects.filter(job_id=job_id, number=number).first()
    if row is None:
        raise Unknown("There is no such round at the aggregator.")
    return row


def move(row: Round, there: Step, *, reason: str = "", detail: str = "") -> None:
    """Move a locked round and save it, with every other changed field.

    Raises:
        Conflict: the table of states has no such move.
    """
    here = Step(row.step)
    if not may_move(here, there):
        raise Conflict(f"A round that is {here} cannot become {there}.", code="wrong_state")
    row.step, row.since = there.value, config.now()
    row.deadline = row.since + _seconds(row, there)
    if reason:
        row.reason = reason[:REASON_LENGTH]
    if there in OVER:
        _finish(row, there)
    row.save()
    RoundTransition.objects.create(
        round=row,
        before=here.value,
        after=there.value,
        reason=(detail or reason)[:REASON_LENGTH],
        at=row.since,
    )
    tell_hubs(round=row.pk)


def _seconds(row: Round, step: Step) -> int:
    if step in COLLECTING:
        return Header.from_bytes(bytes(row.header)).phase_seconds()[step.value]
    if step in SIGNING:
        return config.SIGNING_SECONDS
    return 0


def _finish(row: Round, step: Step) -> None:
    """The round's part of the ledger is complete; what is not needed any more is erased in this transaction."""
    if step is Step.POSTED:
        return
    row.receipts = Visit.objects.filter(job_id=row.job_id, round=row.number).count()
    PhaseMessage.objects.filter(participant__round=row).delete()
    MaskedInput.objects.filter(participant__round=row).delete()
    SigningRequest.objects.filter(round=row).delete()
    Participant.objects.filter(round=row).update(ticket="", bucket=None, position=None)
    row.randomness = ""
    folder = config.spool() / str(row.pk)
    transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True), using=ALIAS)


@transaction.atomic(using=ALIAS)
def abandon(*, round_id: int, reason: str, detail: str = "", fence: int | None = None) -> None:
    """End the round without a sum. Receipts stay owed. Nothing happens when it is over already."""
    row = locked(round_id)
    if fence is not None and row.fence != fence:
        return
    if Step(row.step) in OVER:
        return
    Bucket.objects.filter(round=row, state=Bucket.State.RUNNING).update(
        state=Bucket.State.FAILED, reason=reason[:REASON_LENGTH]
    )
    move(row, Step.ABANDONED, reason=reason, detail=detail)


def remove_leftovers() -> None:
    """Spool folders of rounds that are over (a process died between commit and removal)."""
    if not config.spool().is_dir():
        return
    for folder in config.spool().iterdir():
        if folder.name.isdecimal():
            row = Round.objects.filter(pk=int(folder.name)).only("step").first()
            if row is None or Step(row.step) in OVER:
                shutil.rmtree(folder, ignore_errors=True)
