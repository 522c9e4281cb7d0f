"""A round as the protocol core sees it, rebuilt from stored rows: a pure function of what is in the database.

Everything here can be thrown away and built again, by another process, after a crash. Each part may be asked for only in or
after the step that fixes it; then it never changes, so it is kept.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache

from django.db.models import QuerySet

from aggregation.secagg.messages import (
    Advertise,
    Consistency,
    Enrolment,
    Header,
    ShareKeys,
    Survivors,
    Unmask,
)
from aggregation.secagg.server import (
    Bucket,
    MemberLog,
    Roster,
    SurvivorStatement,
    assign_buckets,
    close_masked,
)
from aggregation.server.errors import Conflict
from aggregation.server.models import Bucket as BucketRow
from aggregation.server.models import Member, PhaseMessage, Round, SigningRequest
from aggregation.server.states import Step

KEPT = 8


@lru_cache(maxsize=8)
def member_log(job_id: uuid.UUID) -> MemberLog:
    """The job's frozen log; its signatures were checked when it was stored."""
    bodies = Member.objects.filter(job_id=job_id).order_by("index").values_list("body", flat=True)
    return MemberLog(job=job_id.bytes, enrolments=[Enrolment.from_bytes(bytes(body)) for body in bodies])


class RoundContext:
    """One round. Parts are named after the step that fixes them."""

    def __init__(self, row: Round) -> None:
        self.pk = row.pk
        self.header = Header.from_bytes(bytes(row.header))
        self.collective = row.job.collective_id.bytes
        self.requirement_hash = bytes.fromhex(row.requirement_hash)
        self.rate = row.job.rate
        self.collective_id = row.job.collective_id
        self.job_id = row.job_id
        self.log = member_log(row.job_id)
        self.seen_step: Step | None = None
        """The step this process saw the round in last: a hint of what a message is, no more."""
        self._share_keys: dict[int, dict[int, ShareKeys]] = {}
        self._survivors: dict[int, Survivors] = {}

    # fixed when `advertise` closed

    def draft_roster(self) -> Roster:
        """Raises:
        Abort: too few wallets.
        """
        return self._draft

    @cached_property
    def _draft(self) -> Roster:
        bodies = self._bodies(Step.ADVERTISE).values_list("body", flat=True)
        randomness = bytes.fromhex(Round.objects.values_list("randomness", flat=True).get(pk=self.pk))
        messages = [Advertise.from_bytes(bytes(body)) for body in bodies]
        return assign_buckets(self.header, messages, log=self.log, randomness=randomness)

    @cached_property
    def roster(self) -> Roster:
        return self.draft_roster().signed(self._signature(SigningRequest.Kind.LISTS))

    def bucket(self, index: int) -> Bucket:
        return self.roster.buckets[index]

    # fixed when `share_keys` closed

    @cached_property
    def joined(self) -> Mapping[int, tuple[int, ...]]:
        """Bucket → positions, of the buckets that went on."""
        return {
            row.index: tuple(row.joined) for row in BucketRow.objects.filter(round_id=self.pk) if row.joined
        }

    def share_keys(self, index: int) -> dict[int, ShareKeys]:
        if index not in self._share_keys:
            self._share_keys[index] = {
                position: ShareKeys.from_bytes(body)
                for position, body in self.answers(Step.SHARE_KEYS, index)
            }
        return self._share_keys[index]

    # fixed when `masked_input` closed

    def draft_statement(self, survivors: Mapping[int, Sequence[int]]) -> SurvivorStatement:
        """Raises:
        Abort: below release_min.
        """
        return close_masked(self.roster, survivors)

    @cached_property
    def statement(self) -> SurvivorStatement:
        rows = BucketRow.objects.filter(round_id=self.pk)
        survivors = {row.index: tuple(row.survivors) for row in rows if row.survivors}
        return self.draft_statement(survivors).signed(self._signature(SigningRequest.Kind.SURVIVORS))

    def survivors(self, index: int) -> Survivors:
        """Kept with its digest, which every wallet's message is compared with."""
        if index not in self._survivors:
            self._survivors[index] = self.statement.for_bucket(index)
        return self._survivors[index]

    # messages of a closed or running phase

    def answers(self, step: Step, index: int) -> list[tuple[int, bytes]]:
        """Position and bytes of every message of a bucket in a phase."""
        rows = self._bodies(step).filter(participant__bucket=index)
        return [(place, bytes(body)) for place, body in rows.values_list("participant__position", "body")]

    def positions(self, step: Step) -> dict[int, list[int]]:
        """Bucket → positions of those who answered in a phase; what they said is not read."""
        found: dict[int, list[int]] = {}
        for bucket, place in self._bodies(step).values_list("participant__bucket", "participant__position"):
            found.setdefault(bucket, []).append(place)
        return found

    def consistencies(self, index: int) -> dict[int, Consistency]:
        return {place: Consistency.from_bytes(body) for place, body in self.answers(Step.CONSISTENCY, index)}

    def unmasks(self, index: int) -> dict[int, Unmask]:
        return {place: Unmask.from_bytes(body) for place, body in self.answers(Step.UNMASK, index)}

    def _bodies(self, step: Step) -> QuerySet[PhaseMessage]:
        return PhaseMessage.objects.filter(participant__round_id=self.pk, phase=step.value)

    def _signature(self, kind: str) -> bytes:
        request = SigningRequest.objects.filter(round_id=self.pk, kind=kind).first()
        if request is None or request.signature is None:
            raise Conflict("The distributor has not signed this yet.", code="not_signed")
        return bytes(request.signature)


_contexts: OrderedDict[int, RoundContext] = OrderedDict()


def of(round_id: int) -> RoundContext:
    """The context of a round, kept for the rounds used last."""
    context = _contexts.get(round_id)
    if context is None:
        context = RoundContext(Round.objects.select_related("job").get(pk=round_id))
        _contexts[round_id] = context
        while len(_contexts) > KEPT:
            _contexts.popitem(last=False)
    return context


def forget(round_id: int | None = None) -> None:
    """Drop what is kept of a round that is over, or of all."""
    if round_id is None:
        _contexts.clear()
        member_log.cache_clear()
    else:
        _contexts.pop(round_id, None)
