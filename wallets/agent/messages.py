"""What goes into the holder's machine and what comes out: frozen, keyword-only, without any IO.

A refusal is specific for the holder's journal and vague on the wire (`Refusal.wire`), so that nobody learns from a "no"
what a person's data or settings are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from aggregation.secagg.messages import Header
from collectives.terms.description import Terms
from collectives.terms.permit import JobAnnouncement, Permit, Task
from wallets.agent.limits import OwnLimits
from wallets.agent.refusals import Refusal as Refusal

DAY_SECONDS = 86_400


class Choice(StrEnum):
    """The holder's answer to a notice."""

    WITH = "with"
    WITHOUT = "without"
    LEAVE = "leave"


@dataclass(frozen=True, kw_only=True)
class HolderPolicy:
    """The holder's own limits, on top of every permit.

    `visits_per_day` counts accepted tasks of one collective in any 24 hours. `allow_development`: whether terms with
    lowered minima may be subscribed to at all. `notices_kept` bounds what a flooding collective can make us store,
    `largest_update` the numbers of one visit: its default fills the largest payload there is.
    """

    visits_per_day: int = 100
    bucket_min: int = 20
    release_min: int = 100
    allow_development: bool = False
    notices_kept: int = 64
    jobs_kept: int = 64
    largest_update: int = 1 << 24


@dataclass(frozen=True, kw_only=True)
class SeenNotice:
    """A notice as this wallet saw it. `first_seen` is our clock, never the sender's."""

    notice_ref: str
    subject: str
    manifest_hash: str
    reason: str
    first_seen: int
    effective: int
    silence: str
    choice: str = ""


@dataclass(frozen=True, kw_only=True)
class KnownJob:
    """A job this wallet enrolled in. `last_round` 0 = never visited; `log_root` empty until the log froze."""

    job_id: str
    manifest_hash: str
    max_rounds: int
    cohort: int
    bucket_min: int
    release_min: int
    distributor_key: str
    aggregator_key: str
    expires: int
    last_round: int = 0
    log_root: str = ""
    log_size: int = 0
    log_index: int = 0

    @classmethod
    def announced(cls, job: JobAnnouncement) -> KnownJob:
        """As the collective announced it; nothing of it has happened yet."""
        return cls(
            job_id=job.job_id,
            manifest_hash=job.manifest_hash,
            max_rounds=job.max_rounds,
            cohort=job.cohort,
            bucket_min=job.bucket_min,
            release_min=job.release_min,
            distributor_key=job.distributor_key,
            aggregator_key=job.aggregator_key,
            expires=job.expires,
        )


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What the machine remembers about one collective. Stored before any answer that depends on it leaves.

    `visits`: when tasks were accepted in the last day, unix seconds. `visited`, `spent_micro`: all accepted tasks, and
    what they cost in privacy at most.
    """

    notices: tuple[SeenNotice, ...] = ()
    jobs: tuple[KnownJob, ...] = ()
    visits: tuple[int, ...] = ()
    paused: bool = False
    limits: OwnLimits = field(default_factory=OwnLimits)
    visited: int = 0
    spent_micro: int = 0

    def job(self, job_id: str) -> KnownJob | None:
        """The enrolled job of that id."""
        return next((job for job in self.jobs if job.job_id == job_id), None)

    def with_job(self, job: KnownJob) -> Memory:
        """With a job it already holds brought up to date."""
        return replace(self, jobs=tuple(job if old.job_id == job.job_id else old for old in self.jobs))

    def notice_for(self, manifest_hash: str) -> SeenNotice | None:
        """The notice that announced a manifest."""
        return next((notice for notice in self.notices if notice.manifest_hash == manifest_hash), None)

    def to_record(self) -> dict[str, Any]:
        """For the encrypted store."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any] | None) -> Memory:
        """From the encrypted store; an absent record is an empty memory."""
        if not record:
            return cls()
        return cls(
            notices=tuple(SeenNotice(**item) for item in record["notices"]),
            jobs=tuple(KnownJob(**item) for item in record["jobs"]),
            visits=tuple(record["visits"]),
            paused=record["paused"],
            limits=OwnLimits(**record.get("limits", {})),
            visited=record.get("visited", 0),
            spent_micro=record.get("spent_micro", 0),
        )


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One accepted task: everything later steps are checked against."""

    collective_id: str
    collective_key: str
    agreement_hash: str
    job: KnownJob
    task: Task
    header: Header


# What comes in. `permit` is always looked up afresh in the store by the caller; `now` is our clock in unix seconds.


@dataclass(frozen=True, kw_only=True)
class OfferArrived:
    """Someone offers terms. `envelope` is the signed terms document as JSON text."""

    collective_id: str
    envelope: Mapping[str, Any]
    permit: Permit | None
    now: int


@dataclass(frozen=True, kw_only=True)
class NoticeArrived:
    """A collective announces a change."""

    envelope: Mapping[str, Any]
    permit: Permit | None
    memory: Memory
    now: int


@dataclass(frozen=True, kw_only=True)
class NoticeAnswered:
    """The holder, or the holder's rule, chose."""

    notice_ref: str
    choice: Choice
    memory: Memory


@dataclass(frozen=True, kw_only=True)
class JobArrived:
    """A job asks for enrolment."""

    envelope: Mapping[str, Any]
    permit: Permit | None
    memory: Memory
    now: int


@dataclass(frozen=True, kw_only=True)
class LogFrozen:
    """The distributor says where our enrolment stands in the frozen log of a job."""

    job_id: str
    leaf: bytes
    index: int
    size: int
    root: bytes
    proof: tuple[bytes, ...]
    signature: bytes
    memory: Memory


@dataclass(frozen=True, kw_only=True)
class TaskArrived:
    """A collective's task for one round. `missing`: what the data still lacks for the permit's requirement, in words.

    `sandbox_fits`: whether the sandbox here is as good as the holder and the terms ask for.
    """

    body: bytes
    signature: bytes
    permit: Permit | None
    memory: Memory
    missing: tuple[str, ...]
    now: int
    sandbox_fits: bool = True


@dataclass(frozen=True, kw_only=True)
class PayloadArrived:
    """The model of an accepted task was fetched; hashes were computed by us over what arrived.

    `trap`: the weights have the geometry of a trap (see `traps`).
    """

    visit: Visit
    permit: Permit | None
    manifest_hash: bytes
    checkpoint_hash: bytes
    weights_in_range: bool
    missing: tuple[str, ...]
    now: int
    trap: bool = False


@dataclass(frozen=True, kw_only=True)
class AboutToLeave:
    """Something of this visit is about to leave the wallet."""

    visit: Visit
    permit: Permit | None
    now: int


Input = (
    OfferArrived
    | NoticeArrived
    | NoticeAnswered
    | JobArrived
    | LogFrozen
    | TaskArrived
    | PayloadArrived
    | AboutToLeave
)

# What goes out.


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Nothing is done. `detail` adds what the holder may want to know, never a value of their data."""

    refusal: Refusal
    detail: str = ""

    @property
    def sentence(self) -> str:
        """For the journal."""
        return f"{self.refusal.sentence} {self.detail}".strip()


@dataclass(frozen=True, kw_only=True)
class AskHolder:
    """The terms are genuine and acceptable: show them to the holder, from this document and no other."""

    terms: Terms


@dataclass(frozen=True, kw_only=True)
class NoticeKept:
    """A valid notice: store `memory`, show it to the holder and let a rule or the holder answer."""

    memory: Memory
    seen: SeenNotice
    repeated: bool


@dataclass(frozen=True, kw_only=True)
class ChoiceKept:
    """The choice is in `memory`; `leave` asks the caller to revoke the permit."""

    memory: Memory
    leave: bool


@dataclass(frozen=True, kw_only=True)
class Enrol:
    """Enrol in the job with a fresh job key; store `memory` first."""

    memory: Memory
    job: KnownJob


@dataclass(frozen=True, kw_only=True)
class EnrolLater:
    """Not yet, but still inside the enrolment window: ask the machine again at `at`."""

    at: int


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Our enrolment is in the frozen log; store `memory`."""

    memory: Memory


@dataclass(frozen=True, kw_only=True)
class Accept:
    """Accept the task; store `memory` (the round is used up) before answering."""

    memory: Memory
    visit: Visit


@dataclass(frozen=True, kw_only=True)
class Go:
    """The step may be taken."""


Decision = Refused | AskHolder | NoticeKept | ChoiceKept | Enrol | EnrolLater | Placed | Accept | Go
