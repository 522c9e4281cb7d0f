"""Driving a round: each call takes it as far as it can go now. The database is the truth, wake-ups only save time.

A collecting phase closes in a transaction of its own; what follows is computed from stored rows outside any transaction and
committed under the fence. Killed in between, the next worker computes the same again.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from django.db.models import Q

from aggregation.secagg.errors import Abort
from aggregation.secagg.server import (
    Accumulator,
    check_survivors,
    close_share_keys,
    consistency_sets,
    unmask,
)
from aggregation.secagg.vectors import Integers
from aggregation.server import config, context, memory
from aggregation.server.errors import LeaseLost
from aggregation.server.models import Bucket, MaskedInput, Participant, Round, SigningRequest
from aggregation.server.services import results, spool, tampering, transitions
from aggregation.server.services.folding import add_up, read_sum
from aggregation.server.services.lease import Lease, claim
from aggregation.server.services.progress import due
from aggregation.server.services.spool import accumulator_file
from aggregation.server.states import COLLECTING, NEXT, OVER, SIGNING, Step

logger = logging.getLogger(__name__)
MOST_STEPS = 20
_PROVEN = (Participant.State.PRESENT, Participant.State.FAILED)
REQUESTS = uuid.UUID("b7f3c1de-6f56-4d0a-9f39-9a2f0b1c7e11")
"""Namespace of signing request ids: derived from the round, so that a repeated step makes the same request."""


def step_round(round_id: int) -> bool:
    """Take the round as far as it goes. False when another worker holds it."""
    with claim(round_id) as lease:
        if lease is None:
            return False
        try:
            for _ in range(MOST_STEPS):
                if not _advance(round_id, lease):
                    break
        except LeaseLost:
            logger.info("another worker took over a round")
    return True


def quiet(round_id: int) -> bool:
    """Whether `step_round` would find nothing to do now, seen without taking the lease.

    A step that computes is never quiet: who computed it may be dead. Nor is a round that began in the future, before the clock was
    set back: whoever takes its lease puts its times right.
    """
    row = Round.objects.get(pk=round_id)
    step, now = Step(row.step), config.now()
    if row.since > now + 1:
        return False
    if step in COLLECTING:
        return not due(row)
    waits = step is Step.OPENED or (step in SIGNING and not _has_signature(row))
    return waits and now < row.deadline


def _advance(round_id: int, lease: Lease) -> bool:
    row = Round.objects.get(pk=round_id)
    step = Step(row.step)
    if step in OVER:
        context.forget(round_id)
        return False
    if step is Step.OPENED:
        return _expire(row, lease, "no_cohort", "No cohort was named for this round.")
    if step in COLLECTING:
        return _close_if_due(row, lease)
    if step in SIGNING:
        return _signed(row, lease)
    try:
        _COMPUTE[step](context.of(round_id), lease)
    except Abort as reason:
        transitions.abandon(round_id=round_id, reason=reason.code, detail=str(reason), fence=lease.fence)
    return True


def _expire(row: Round, lease: Lease, reason: str, sentence: str) -> bool:
    if config.now() < row.deadline:
        return False
    transitions.abandon(round_id=row.pk, reason=reason, detail=sentence, fence=lease.fence)
    return True


def _close_if_due(row: Round, lease: Lease) -> bool:
    if not due(row):
        return False
    with lease.commit() as locked:
        if locked.step != row.step or not due(locked):
            return False
        transitions.move(locked, NEXT[Step(locked.step)])
    return True


def _signed(row: Round, lease: Lease) -> bool:
    if not _has_signature(row):
        return _expire(row, lease, "not_signed", "The distributor did not sign in time.")
    with lease.commit() as locked:
        transitions.move(locked, NEXT[Step(locked.step)])
    return True


def _has_signature(row: Round) -> bool:
    lists = Step(row.step) is Step.SIGNING_LISTS
    kind = SigningRequest.Kind.LISTS if lists else SigningRequest.Kind.SURVIVORS
    return SigningRequest.objects.filter(round=row, kind=kind, signature__isnull=False).exists()


def _ask_for_signature(row: Round, kind: str, body: bytes) -> None:
    ident = uuid.uuid5(REQUESTS, f"{row.pk}:{kind}")
    SigningRequest.objects.get_or_create(id=ident, defaults={"round": row, "kind": kind, "body": body})


# advertise → lists


def _assign(here: context.RoundContext, lease: Lease) -> None:
    roster = here.draft_roster()
    places = {
        member.job_key.hex(): (index, position)
        for index, members in enumerate(roster.lists.buckets)
        for position, member in enumerate(members)
    }
    with lease.commit() as row:
        there = Participant.objects.filter(round=row, state__in=_PROVEN).values_list("pk", "job_key")
        placed = {pk: places[job_key] for pk, job_key in there if job_key in places}
        _place(placed)
        _leave_out(row, Q(bucket__isnull=True))
        Bucket.objects.bulk_create(
            [
                Bucket(round=row, index=index, members=len(members))
                for index, members in enumerate(roster.lists.buckets)
            ]
        )
        row.joined = len(placed)
        _ask_for_signature(row, SigningRequest.Kind.LISTS, roster.request())
        transitions.move(row, Step.SIGNING_LISTS)


def _place(places: Mapping[int, tuple[int, int]]) -> None:
    """Write (bucket, position) of participants: a statement for each bucket and each position, not a condition for each wallet.

    Positions first: as long as they are in no bucket, no two wallets are in the same place.
    """
    for column, which in (("position", 1), ("bucket", 0)):
        together: dict[int, list[int]] = defaultdict(list)
        for participant, place in places.items():
            together[place[which]].append(participant)
        for value, participants in together.items():
            Participant.objects.filter(pk__in=participants).update(**{column: value})


def _leave_out(row: Round, which: Q) -> None:
    """Those who missed a phase are waited for no longer."""
    Participant.objects.filter(
        which, round=row, state__in=[Participant.State.EXPECTED, Participant.State.PRESENT]
    ).update(state=Participant.State.OUT)


def _leave_out_all_but(row: Round, kept: dict[int, list[int]]) -> None:
    staying = Q(pk__in=[])
    for index, positions in kept.items():
        staying |= Q(bucket=index, position__in=positions)
    _leave_out(row, ~staying)


def _fail(row: Round, failed: dict[int, Abort]) -> None:
    for index, reason in failed.items():
        Bucket.objects.filter(round=row, index=index).update(
            state=Bucket.State.FAILED, reason=reason.code, joined=[], survivors=[]
        )


# share keys → bundles


def _bundle(here: context.RoundContext, lease: Lease) -> None:
    joined: dict[int, list[int]] = {}
    failed: dict[int, Abort] = {}
    shared = here.positions(Step.SHARE_KEYS)
    for bucket in here.roster.buckets:
        try:
            joined[bucket.index] = list(close_share_keys(bucket, shared.get(bucket.index, ())))
        except Abort as reason:
            failed[bucket.index] = reason
    _check_total(here, joined, failed)
    with lease.commit() as row:
        for index, positions in joined.items():
            Bucket.objects.filter(round=row, index=index).update(joined=positions)
        _fail(row, failed)
        _leave_out_all_but(row, joined)
        row.joined = sum(map(len, joined.values()))
        transitions.move(row, Step.MASKED_INPUT)


def _check_total(here: context.RoundContext, kept: dict[int, list[int]], failed: dict[int, Abort]) -> None:
    """Buckets may fail while the rest still meets the release minimum; else the round ends, naming the first failure."""
    total = sum(map(len, kept.values()))
    if total < here.header.release_min:
        if failed:
            raise next(iter(failed.values()))
        here.draft_statement(kept)  # raises, with the numbers


# masked inputs → survivors


def _sum(here: context.RoundContext, lease: Lease) -> None:
    survivors: dict[int, list[int]] = {}
    failed: dict[int, Abort] = {}
    for index, joined in here.joined.items():
        stored = MaskedInput.objects.filter(participant__round_id=here.pk, participant__bucket=index)
        files = {
            place: name
            for place, name in stored.values_list("participant__position", "file")
            if place in joined
        }
        try:
            check_survivors(here.bucket(index), joined, sorted(files))
        except Abort as reason:
            failed[index] = reason
            continue
        survivors[index] = sorted(files)
        _accumulate(here, index, [files[place] for place in survivors[index]])
    _check_total(here, survivors, failed)
    statement = here.draft_statement(survivors)
    with lease.commit() as row:
        for index, positions in survivors.items():
            Bucket.objects.filter(round=row, index=index).update(survivors=positions)
        _fail(row, failed)
        _leave_out_all_but(row, survivors)
        row.survivors = sum(map(len, survivors.values()))
        _ask_for_signature(row, SigningRequest.Kind.SURVIVORS, statement.request())
        transitions.move(row, Step.SIGNING_SURVIVORS)
    _remove_inputs(here.pk)


def _accumulate(here: context.RoundContext, index: int, names: list[str]) -> None:
    """What was not added while it arrived is added now."""
    target = accumulator_file(here.pk, index)
    part = target.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(add_up(here, names).view)
    part.replace(target)


def _remove_inputs(round_id: int) -> None:
    stored = MaskedInput.objects.filter(participant__round_id=round_id)
    spool.remove(round_id, stored.values_list("file", flat=True))


# consistency → sets


def _confirm(here: context.RoundContext, lease: Lease) -> None:
    agreed: dict[int, list[int]] = {}
    failed: dict[int, Abort] = {}
    for index in _running(here.pk):
        answers = here.consistencies(index)
        try:
            consistency_sets(here.bucket(index), here.survivors(index), answers)
            check_survivors(here.bucket(index), here.joined[index], here.survivors(index).positions)
            _enough_agree(here, index, len(answers))
            agreed[index] = sorted(answers)
        except Abort as reason:
            failed[index] = reason
    survivors = {index: list(here.survivors(index).positions) for index in agreed}
    _check_total(here, survivors, failed)
    with lease.commit() as row:
        _fail(row, failed)
        _leave_out_all_but(row, agreed)
        transitions.move(row, Step.UNMASK)


def _enough_agree(here: context.RoundContext, index: int, answers: int) -> None:
    from aggregation.secagg.errors import AbortReason

    if answers < here.bucket(index).threshold:
        raise Abort(AbortReason.TOO_FEW_AGREE, f"{answers} of {here.bucket(index).threshold}")


def _running(round_id: int) -> list[int]:
    rows = Bucket.objects.filter(round_id=round_id, state=Bucket.State.RUNNING).order_by("index")
    return list(rows.values_list("index", flat=True))


# unmask → sum


def _unmask(here: context.RoundContext, lease: Lease) -> None:
    counts: dict[int, int] = {}
    failed: dict[int, Abort] = {}
    rule = Round.objects.values_list("rule", flat=True).get(pk=here.pk)
    memory.trim()
    with ThreadPoolExecutor(max_workers=2) as executor:
        sums = _sums(here, counts, failed, executor)
        combined = tampering.combined(here.header, sums, counts, rule=rule)
    kept = {index: list(here.survivors(index).positions) for index in counts}
    _check_total(here, kept, failed)
    assert combined is not None  # no bucket at all is below every minimum
    with lease.commit() as row:
        _fail(row, failed)
        Bucket.objects.filter(round=row, index__in=counts).update(state=Bucket.State.DONE)
        tampering.note(row, counts, combined)
        row.count, row.survivors, row.middle = combined.count, sum(counts.values()), combined.middle
        row.sum = results.stored_sum(combined.total)
        del combined  # the database copies the sum while it stores it
        transitions.move(row, Step.RELEASED)


def _sums(
    here: context.RoundContext,
    counts: dict[int, int],
    failed: dict[int, Abort],
    executor: ThreadPoolExecutor,
) -> Iterator[Integers]:
    """The sums of the buckets that come out, with their `counts`, one after the other: whoever needs only their total keeps one."""
    for index in _running(here.pk):
        try:
            total = _bucket_sum(here, index, counts, executor)
        except Abort as reason:
            failed[index] = reason
        else:
            yield total


def _bucket_sum(
    here: context.RoundContext, index: int, counts: dict[int, int], executor: ThreadPoolExecutor
) -> Integers:
    accumulator = Accumulator(here.header)
    read_sum(_stored(here.pk, index), accumulator)
    result = unmask(
        here.bucket(index),
        here.share_keys(index),
        here.joined[index],
        here.survivors(index),
        here.unmasks(index),
        accumulator,
        executor=executor,
        in_place=True,
    )
    counts[index] = result.count
    return result.sum


def _stored(round_id: int, index: int) -> Path:
    return accumulator_file(round_id, index)


_COMPUTE: dict[Step, Callable[[context.RoundContext, Lease], None]] = {
    Step.ASSIGNING: _assign,
    Step.BUNDLING: _bundle,
    Step.SUMMING: _sum,
    Step.CONFIRMING: _confirm,
    Step.UNMASKING: _unmask,
}
