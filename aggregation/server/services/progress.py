"""When may a phase close? When everyone it waits for has answered, or is gone for longer than the grace, or time is up."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from aggregation.secagg.server import enough_to_unmask
from aggregation.server import config, context
from aggregation.server.models import Bucket, Participant, PhaseMessage, Round
from aggregation.server.states import COLLECTING, Step

WAITED_FOR = [Participant.State.EXPECTED, Participant.State.PRESENT]


def due(row: Round) -> bool:
    """Whether a collecting phase may close now."""
    step = Step(row.step)
    if step not in COLLECTING:
        return False
    if config.now() >= row.deadline:
        return True
    missing = outstanding(row)
    if not missing.filter(
        ~Q(hub="") | Q(gone_since__gt=config.precise_now() - config.GRACE_SECONDS)
    ).exists():
        return True
    return step is Step.UNMASK and config.now() - row.since >= config.UNMASK_PATIENCE_SECONDS and _enough(row)


def outstanding(row: Round) -> QuerySet[Participant]:
    """Those the running phase still waits for."""
    waited = Participant.objects.filter(round=row, state__in=WAITED_FOR)
    if Step(row.step) is Step.MASKED_INPUT:
        return waited.filter(masked__isnull=True)
    answered = PhaseMessage.objects.filter(participant__round=row, phase=row.step).values("participant_id")
    return waited.exclude(pk__in=answered)


def _enough(row: Round) -> bool:
    here = context.of(row.pk)
    for bucket in Bucket.objects.filter(round=row, state=Bucket.State.RUNNING):
        answered = PhaseMessage.objects.filter(
            participant__round=row, participant__bucket=bucket.index, phase=Step.UNMASK.value
        ).values_list("participant__position", flat=True)
        survivors = here.survivors(bucket.index)
        if not enough_to_unmask(here.bucket(bucket.index), tuple(bucket.joined), survivors, list(answered)):
            return False
    return True
