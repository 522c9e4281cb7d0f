"""What a wallet is sent in each step: the same bytes whenever it asks again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from aggregation.secagg.messages import Consistency
from aggregation.secagg.server import bundle_for, consistency_for
from aggregation.server import context, tokens
from aggregation.server.models import Bucket, Participant, Round
from aggregation.server.states import ORDER, OVER, Step

Frame = dict[str, Any]


def frames_for(round_id: int, participants: Iterable[int]) -> tuple[Step, dict[int, list[Frame]]]:
    """The round's step, and what these wallets get in it. An empty list means: nothing to say now."""
    row = Round.objects.get(pk=round_id)
    step = Step(row.step)
    people = Participant.objects.filter(pk__in=list(participants), round_id=round_id)
    if step in OVER:
        outcome = "abandoned" if step is Step.ABANDONED else "released"
        return step, {who.pk: [_done(outcome, row.reason)] for who in people}
    buckets = {bucket.index: bucket for bucket in Bucket.objects.filter(round=row)}
    speak = _SPEAKERS.get(step)
    compose = None if speak is None else speak(context.of(round_id))
    answer: dict[int, list[Frame]] = {}
    for who in people:
        if who.state == Participant.State.OUT:
            answer[who.pk] = [_done("abandoned", _why_out(who, buckets))]
        elif compose is None or who.state != Participant.State.PRESENT:
            answer[who.pk] = []
        else:
            answer[who.pk] = compose(who)
    return step, answer


def _done(outcome: str, reason: str) -> Frame:
    return {"t": "done", "outcome": outcome, "reason": reason}


def _why_out(who: Participant, buckets: Mapping[int, Bucket]) -> str:
    bucket = buckets.get(-1 if who.bucket is None else who.bucket)
    return bucket.reason if bucket is not None and bucket.reason else "left_out"


def _message(body: bytes) -> Frame:
    return {"t": "secagg", "m": body}


def _list(here: context.RoundContext, who: Participant) -> list[Frame]:
    assert who.bucket is not None and who.position is not None
    return [_message(here.bucket(who.bucket).list_for(who.position))]


def _bundle(here: context.RoundContext, who: Participant) -> list[Frame]:
    assert who.bucket is not None and who.position is not None
    index = who.bucket
    body = bundle_for(here.bucket(index), here.share_keys(index), here.joined[index], who.position)
    token = tokens.slot_token(here.pk, who.pk)
    return [_message(body), {"t": "slot", "path": f"/aggregator/slots/{token}", "token": token}]


def _survivors(here: context.RoundContext, who: Participant) -> list[Frame]:
    assert who.bucket is not None
    return [_message(here.survivors(who.bucket).to_bytes())]


def _agreements(
    here: context.RoundContext, answers: dict[int, dict[int, Consistency]], who: Participant
) -> list[Frame]:
    assert who.bucket is not None and who.position is not None
    index = who.bucket
    if index not in answers:
        answers[index] = here.consistencies(index)
    return [
        _message(consistency_for(here.bucket(index), here.survivors(index), answers[index], who.position))
    ]


_SPEAKERS = {
    Step.SHARE_KEYS: lambda here: partial(_list, here),
    Step.MASKED_INPUT: lambda here: partial(_bundle, here),
    Step.CONSISTENCY: lambda here: partial(_survivors, here),
    Step.UNMASK: lambda here: partial(_agreements, here, {}),
}


def is_later(step: Step, than: Step) -> bool:
    return ORDER[step] > ORDER[than]
