"""What a wallet is sent in each step: the same bytes whenever it asks again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aggregation.secagg.server import bundles_for, consistency_for, consistency_sets
from aggregation.server import context, tokens
from aggregation.server.models import Bucket, Participant, Round, Visit
from aggregation.server.states import ORDER, OVER, Step

Frame = dict[str, Any]
Said = dict[int, list[Frame]]
"""Participant → what it is sent."""
_State = Participant.State


class Person(NamedTuple):
    """What of a participant decides what it is sent. A round of a thousand reads it five times: no objects of the mapper."""

    pk: int
    state: str
    bucket: int | None
    position: int | None


def frames_for(
    round_id: int, participants: Iterable[int], *, came: bool = False
) -> tuple[Step, dict[int, list[Frame]]]:
    """The round's step, and what these wallets get in it. An empty list means: nothing to say now.

    `came`: they joined this moment. Who comes to a round that is over hears first that its receipt is stored, if it is: after the end it would
    not wait for the answer to the one it sends again, and its journal would not know what it is owed.
    """
    row = Round.objects.get(pk=round_id)
    step = Step(row.step)
    rows = Participant.objects.filter(pk__in=list(participants), round_id=round_id)
    people = [Person(*values) for values in rows.values_list(*Person._fields)]
    if step in OVER:
        done = _done("abandoned" if step is Step.ABANDONED else "released", row.reason)
        owed = _owed(row, [who.pk for who in people]) if came else set()
        return step, {who.pk: [_RECEIPT_STORED, done] if who.pk in owed else [done] for who in people}
    buckets = {bucket.index: bucket for bucket in Bucket.objects.filter(round=row)}
    answer: dict[int, list[Frame]] = {}
    present: dict[int, list[Person]] = {}
    for who in people:
        answer[who.pk] = [_done("abandoned", _why_out(who, buckets))] if who.state == _State.OUT else []
        if who.state == _State.PRESENT and who.bucket is not None:
            present.setdefault(who.bucket, []).append(who)
    speak = _SPEAKERS.get(step)
    if speak is not None:
        here = context.of(round_id)
        here.seen_step = step
        for index, members in present.items():
            answer.update(speak(here, index, members))
    return step, answer


_RECEIPT_STORED: Frame = {"t": "ack", "of": "receipt"}


def _owed(row: Round, participants: list[int]) -> set[int]:
    """Those of them whose receipt is in the ledger."""
    keys = dict(Participant.objects.filter(pk__in=participants).values_list("subscription_key", "pk"))
    visits = Visit.objects.filter(job_id=row.job_id, round=row.number, subscription_key__in=list(keys))
    return {keys[key] for key in visits.values_list("subscription_key", flat=True)}


def _done(outcome: str, reason: str) -> Frame:
    return {"t": "done", "outcome": outcome, "reason": reason}


def _why_out(who: Person, buckets: Mapping[int, Bucket]) -> str:
    bucket = buckets.get(-1 if who.bucket is None else who.bucket)
    return bucket.reason if bucket is not None and bucket.reason else "left_out"


def _message(body: bytes) -> Frame:
    return {"t": "secagg", "m": body}


def _places(members: Iterable[Person]) -> dict[int, int]:
    """Participant → position."""
    return {who.pk: who.position for who in members if who.position is not None}


def _lists(here: context.RoundContext, index: int, members: list[Person]) -> Said:
    bucket = here.bucket(index)
    return {who: [_message(bucket.list_for(place))] for who, place in _places(members).items()}


def _bundles(here: context.RoundContext, index: int, members: list[Person]) -> Said:
    joined = here.joined[index]
    places = {who: place for who, place in _places(members).items() if place in joined}
    bundles = bundles_for(here.bucket(index), here.share_keys(index), joined, list(places.values()))
    return {who: [_message(bundles[place]), _slot(here.pk, who)] for who, place in places.items()}


def _slot(round_id: int, participant: int) -> Frame:
    token = tokens.slot_token(round_id, participant)
    return {"t": "slot", "path": f"/aggregator/slots/{token}", "token": token}


def _survivors(here: context.RoundContext, index: int, members: list[Person]) -> Said:
    said = [_message(here.survivors(index).to_bytes())]
    return {who.pk: said for who in members}


def _agreements(here: context.RoundContext, index: int, members: list[Person]) -> Said:
    bucket, survivors, places = here.bucket(index), here.survivors(index), _places(members)
    answers = here.consistencies(index)
    if len(places) == 1:  # one that came back
        return {w: [_message(consistency_for(bucket, survivors, answers, p))] for w, p in places.items()}
    sets = consistency_sets(bucket, survivors, answers)
    return {who: [_message(sets[place])] for who, place in places.items()}


_SPEAKERS = {
    Step.SHARE_KEYS: _lists,
    Step.MASKED_INPUT: _bundles,
    Step.CONSISTENCY: _survivors,
    Step.UNMASK: _agreements,
}


def is_later(step: Step, than: Step) -> bool:
    return ORDER[step] > ORDER[than]
