"""What wallets say, verified once and stored in batches; acknowledged only after the commit.

The round's row is locked while a batch is written and while a phase is closed, so a message is either in the phase or
refused. The same message again is acknowledged again; another one in its place is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db import IntegrityError, transaction

from aggregation.secagg.errors import ProtocolError
from aggregation.secagg.server import (
    accept_advertise,
    accept_consistency,
    accept_receipt,
    accept_share_keys,
    accept_unmask,
)
from aggregation.server import config, context
from aggregation.server.errors import AggregatorError, Conflict, Malformed, PhaseOver
from aggregation.server.models import ALIAS, MaskedInput, Participant, PhaseMessage, Round, Visit
from aggregation.server.services import rows, spool
from aggregation.server.services.answered import Answered
from aggregation.server.services.progress import due
from aggregation.server.services.rows import RoundRow, Who
from aggregation.server.states import ORDER, OVER, Step
from aggregation.server.wakeups import enqueue
from aggregation.wire import cbor
from aggregation.wire.errors import CodecError

PHASE_OF_KIND = {
    "advertise": Step.ADVERTISE,
    "share-keys": Step.SHARE_KEYS,
    "consistency": Step.CONSISTENCY,
    "unmask": Step.UNMASK,
}


class Kind(StrEnum):
    RECEIPT = "receipt"
    CANNOT = "cannot"
    MESSAGE = "secagg"
    MASKED = "masked"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class Seat:
    """A wallet that proved its job key on a socket."""

    participant: int
    round: int
    job_key: bytes
    subscription_key: str
    ticket: str
    hub: str
    step: Step
    """Of the round, when it sat down."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """One thing a wallet said. `digest` is of a masked input: sealed in the spool's `file` already, or in `body` where it is small."""

    kind: Kind
    seat: Seat
    body: bytes = field(default=b"", repr=False)
    code: str = ""
    digest: str = ""
    file: str = ""


@dataclass
class _Batch:
    """Rows a batch works on, and those it adds."""

    rounds: dict[int, RoundRow]
    participants: dict[int, Who]
    now: float
    messages: dict[tuple[int, str], bytes] = field(default_factory=dict)
    masked: dict[int, str] = field(default_factory=dict)
    new_messages: list[tuple[int, str, bytes]] = field(default_factory=list)
    new_masked: list[MaskedInput] = field(default_factory=list)
    together: spool.Together = field(default_factory=spool.Together)
    visits: list[Visit] = field(default_factory=list)
    changed: dict[int, Who] = field(default_factory=dict)


Outcome = str | Exception
"""`stored`, `again`, or why not."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What verification found. A message of a phase that is not running is not verified: it can only be one stored before."""

    phase: Step | None = None
    verified: bool = False


def record(items: Sequence[Said], answered: Answered | None = None) -> list[Outcome]:
    """Verify and store a batch; one outcome per item.

    Nearly always a message is new, so what is stored is read only where a row is in its place already.

    Args:
        answered: what this process knows of who answered; without it the database is asked after every batch.
    """
    verdicts = {}
    for place, item in enumerate(items):
        step = context.of(item.seat.round).seen_step
        if item.kind is not Kind.MESSAGE or step is not None:
            verdicts[place] = (step, _verdict(item, step))
    try:
        return _stored(items, verdicts, answered, repeats=False)
    except IntegrityError:  # the transaction is undone
        return _stored(items, verdicts, answered, repeats=True)


_Verdicts = dict[int, tuple[Step | None, Verdict | Exception]]
"""By an item's place: the round's step it was verified for, and what was found."""


def _stored(
    items: Sequence[Said], verdicts: _Verdicts, answered: Answered | None, *, repeats: bool
) -> list[Outcome]:
    """Raises:
    IntegrityError: a message or an input is stored already, and `repeats` were not looked for; nothing is stored.
    """
    results: list[Outcome] = []
    with transaction.atomic(using=ALIAS):
        rounds = rows.locked_rounds({item.seat.round for item in items})
        found = [_right(place, item, verdicts, rounds) for place, item in enumerate(items)]
        batch = _load(items, rounds, found, repeats=repeats)
        for item, verdict in zip(items, found, strict=True):
            if isinstance(verdict, Exception):
                results.append(verdict)
                continue
            try:
                results.append(_WRITERS[item.kind](batch, item, verdict))
            except AggregatorError as error:
                results.append(error)
        _save(batch)
        _wake(items, results, rounds, answered)
    for row in rounds.values():
        context.of(row.pk).seen_step = row.step
    return results


def _wake(
    items: Sequence[Said],
    results: Sequence[Outcome],
    rounds: Mapping[int, RoundRow],
    answered: Answered | None,
) -> None:
    """Look whether this batch completed a phase. A receipt or a lost socket alone never does."""
    telling = {item.seat.round for item in items if item.kind not in {Kind.RECEIPT, Kind.GONE}}
    if answered is not None:
        for item, result in zip(items, results, strict=True):
            if item.kind is Kind.CANNOT:
                answered.out(item.seat.round, item.seat.participant)
            elif item.seat.round in telling and isinstance(result, str):
                answered.answered(item.seat.round, rounds[item.seat.round].step, item.seat.participant)
    for row in rounds.values():
        if row.pk not in telling or (answered is not None and not answered.all_here(row.pk, row.step)):
            continue
        if due(Round.objects.get(pk=row.pk)):
            enqueue("aggregator.step_round", row.pk)


def _right(
    place: int, item: Said, verdicts: _Verdicts, rounds: Mapping[int, RoundRow]
) -> Verdict | Exception:
    """The verdict for the step the round is in; another may have begun since it was last seen."""
    step = rounds[item.seat.round].step
    seen, verdict = verdicts.get(place, (None, None))
    if verdict is None or (item.kind is Kind.MESSAGE and seen is not step):
        verdict = _verdict(item, step)
        verdicts[place] = (step, verdict)
    return verdict


def _verdict(item: Said, step: Step | None) -> Verdict | Exception:
    """`step`: of the round; a message needs one."""
    try:
        here = context.of(item.seat.round)
        if item.kind is Kind.RECEIPT:
            _verify_receipt(here, item)
        if item.kind is Kind.MESSAGE and step is not None:
            return _verify_message(here, item, step)
        return Verdict()
    except (ProtocolError, AggregatorError) as error:
        return error


def _verify_receipt(here: context.RoundContext, item: Said) -> None:
    receipt = accept_receipt(
        here.header,
        item.body,
        job_key=item.seat.job_key,
        collective=here.collective,
        requirement_hash=here.requirement_hash,
    )
    if receipt.subscription_key.hex() != item.seat.subscription_key:
        raise Malformed(
            "The receipt is signed by another subscription than the enrolled one.", code="wrong_receipt"
        )
    if item.seat.ticket and receipt.ticket.hex() != item.seat.ticket:
        raise Malformed("The receipt carries another ticket than the delivered one.", code="wrong_ticket")


def _verify_message(here: context.RoundContext, item: Said, step: Step) -> Verdict:
    """Taken for a message of the running phase first: a wallet that keeps time has its message decoded once."""
    if step not in PHASE_OF_KIND.values():
        return Verdict(phase=_phase_of(item.body))
    try:
        _accept(here, item, step)
    except ProtocolError:
        phase = _phase_of(item.body)
        if phase is step:
            raise
        return Verdict(phase=phase)
    return Verdict(phase=step, verified=True)


def _accept(here: context.RoundContext, item: Said, phase: Step) -> None:
    sender = item.seat.job_key
    if phase is Step.ADVERTISE:
        accept_advertise(here.header, item.body, log=here.log, now=config.now(), sender=sender)
        return
    bucket, _ = here.roster.locate(sender)
    if phase is Step.SHARE_KEYS:
        accept_share_keys(bucket, item.body, sender=sender)
    elif phase is Step.CONSISTENCY:
        accept_consistency(bucket, here.survivors(bucket.index), item.body, sender=sender)
    else:
        joined = here.joined[bucket.index]
        accept_unmask(bucket, here.survivors(bucket.index), joined, item.body, sender=sender)


def _phase_of(body: bytes) -> Step:
    """Raises:
    Malformed: the bytes are no message of any phase.
    """
    try:
        values: Any = cbor.decode(body)
        return PHASE_OF_KIND[values["t"]]
    except (CodecError, KeyError, TypeError):
        raise Malformed("This is not a message of the protocol.") from None


def _too_late_or_early(step: Step, phase: Step) -> AggregatorError:
    if ORDER[step] > ORDER[phase]:
        return PhaseOver(f"The phase {phase} is over; this wallet takes no further part in the round.")
    return Malformed(f"The phase {phase} has not begun.", code="out_of_order")


def _load(
    items: Sequence[Said], rounds: dict[int, RoundRow], found: Sequence[Verdict | Exception], *, repeats: bool
) -> _Batch:
    """With `repeats`, or for messages of a phase that is not running, what is stored is read."""
    phases = {
        verdict.phase.value
        for verdict in found
        if isinstance(verdict, Verdict) and verdict.phase and (repeats or not verdict.verified)
    }
    seats = {item.seat.participant for item in items}
    uploads = [item for item in items if item.kind is Kind.MASKED]
    look = repeats or any(rounds[item.seat.round].step is not Step.MASKED_INPUT for item in uploads)
    batch = _Batch(rounds=rounds, participants=rows.participants(seats), now=config.precise_now())
    if phases:
        for row in PhaseMessage.objects.filter(participant_id__in=seats, phase__in=phases):
            batch.messages[row.participant_id, row.phase] = bytes(row.body)
    if uploads and look:
        masked = MaskedInput.objects.filter(participant_id__in=seats)
        batch.masked.update(masked.values_list("participant_id", "digest"))
    return batch


def _save(batch: _Batch) -> None:
    if batch.new_messages:
        rows.insert_messages(batch.new_messages)
    if batch.new_masked:
        MaskedInput.objects.bulk_create(batch.new_masked, batch_size=200)
        batch.together.write()
    if batch.visits:
        Visit.objects.bulk_create(batch.visits, ignore_conflicts=True, batch_size=200)
    for states, people in _by_state(batch.changed.values()).items():
        state, hub, gone_since = states
        Participant.objects.filter(pk__in=[who.pk for who in people]).update(
            state=state, hub=hub, gone_since=gone_since
        )


def _by_state(people: Iterable[Who]) -> dict[tuple[str, str, float], list[Who]]:
    groups: dict[tuple[str, str, float], list[Who]] = {}
    for who in people:
        groups.setdefault((who.state, who.hub, who.gone_since), []).append(who)
    return groups


def _receipt(batch: _Batch, item: Said, verdict: Verdict) -> Outcome:
    who = batch.participants[item.seat.participant]
    if who.state in {Participant.State.PRESENT, Participant.State.FAILED}:
        return "again"  # also when the round is over: the visit is owed, and its wallet may not have heard it
    row = _open_round(batch, item)
    if who.state == Participant.State.CANNOT:
        raise Conflict("This wallet said before that it cannot take part.", code="said_cannot")
    here = context.of(row.pk)
    batch.visits.append(
        Visit(
            job_id=here.job_id,
            round=row.number,
            collective_id=here.collective_id,
            subscription_key=item.seat.subscription_key,
            rate=here.rate,
            receipt=item.body,
            at=config.now(),
        )
    )
    if who.state == Participant.State.EXPECTED:
        who.state = Participant.State.PRESENT
        batch.changed[who.pk] = who
    return "stored"


def _cannot(batch: _Batch, item: Said, verdict: Verdict) -> Outcome:
    _open_round(batch, item)
    who = batch.participants[item.seat.participant]
    after = {
        Participant.State.EXPECTED: Participant.State.CANNOT,
        Participant.State.PRESENT: Participant.State.FAILED,
    }.get(Participant.State(who.state))
    if after is None:
        return "again"
    who.state = after
    batch.changed[who.pk] = who
    return "stored"


def _message(batch: _Batch, item: Said, verdict: Verdict) -> Outcome:
    phase = verdict.phase
    assert phase is not None
    row, who = batch.rounds[item.seat.round], batch.participants[item.seat.participant]
    before = batch.messages.get((who.pk, phase.value))
    if before is not None:
        if before != item.body:
            raise Conflict("This wallet sent another message in this phase before.", code="duplicate")
        return "again"
    if row.step is not phase or not verdict.verified:
        raise _too_late_or_early(row.step, phase)
    _must_be_present(who)
    batch.messages[who.pk, phase.value] = item.body
    batch.new_messages.append((who.pk, phase.value, item.body))
    return "stored"


def _masked(batch: _Batch, item: Said, verdict: Verdict) -> Outcome:
    row, who = batch.rounds[item.seat.round], batch.participants[item.seat.participant]
    before = batch.masked.get(who.pk)
    if before is not None:
        if before != item.digest:
            raise Conflict("Another masked input of this wallet is stored; only one is taken.")
        return "again"
    if row.step is not Step.MASKED_INPUT:
        raise _too_late_or_early(row.step, Step.MASKED_INPUT)
    _must_be_present(who)
    file = item.file or batch.together.name(item.seat.round, item.body)
    batch.masked[who.pk] = item.digest
    batch.new_masked.append(MaskedInput(participant_id=who.pk, digest=item.digest, file=file))
    return "stored"


def _gone(batch: _Batch, item: Said, verdict: Verdict) -> Outcome:
    who = batch.participants.get(item.seat.participant)
    if who is not None and who.hub == item.seat.hub:
        who.hub, who.gone_since = "", batch.now
        batch.changed[who.pk] = who
    return "stored"


def _must_be_present(who: Who) -> None:
    if who.state == Participant.State.EXPECTED:
        raise Malformed("Send the presence receipt first.", code="receipt_first")
    if who.state != Participant.State.PRESENT:
        raise PhaseOver("This wallet is out of the round.", code="left_out")


def _open_round(batch: _Batch, item: Said) -> RoundRow:
    row = batch.rounds[item.seat.round]
    if row.step in OVER:
        raise PhaseOver("The round is over.", code="round_over")
    return row


_WRITERS = {
    Kind.RECEIPT: _receipt,
    Kind.CANNOT: _cannot,
    Kind.MESSAGE: _message,
    Kind.MASKED: _masked,
    Kind.GONE: _gone,
}
