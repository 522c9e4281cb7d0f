"""The holder's decisions, sans-IO: documents and the clock come in, a decision comes out, nothing else happens.

Theory of operation
1. The machine has no state of its own. The permit is looked up in the store by the caller for every single input, so a
   permit deleted a moment ago is gone for the very next decision; the memory of a collective comes in and goes out.
2. Whatever an answer depends on is in the returned `memory`, and the caller stores it durably *before* the answer leaves.
   A round is used up when it is accepted, not when it succeeds: after a crash the wallet never takes part twice.
3. A task is checked in the order of the design ("One round", step 3): the collective's signature under the permit's key,
   terms and manifest hash, the notice seen in full, replay, own limits, data. The first "no" ends it.
4. `before_leaving` is asked at accept, at start and just before anything leaves.

Nothing here may import a clock, a socket, a file or entropy (import contract 2).
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from aggregation.privacy.rotation import seed_of
from aggregation.secagg.errors import ProtocolError
from aggregation.secagg.messages import Header
from aggregation.wire import merkle, once, signing
from aggregation.wire.errors import WireError
from aggregation.wire.once import Once
from collectives.terms import classes
from collectives.terms.algorithm import parse_manifest
from collectives.terms.description import Terms
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from collectives.terms.permit import JobAnnouncement, Notice, Permit, Task
from wallets.agent import ledger as accounts
from wallets.agent.ledger import Budgets, Ledger
from wallets.agent.limits import privacy_cost
from wallets.agent.messages import (
    DAY_SECONDS,
    AboutToLeave,
    Accept,
    AskHolder,
    Choice,
    ChoiceKept,
    Decision,
    Enrol,
    EnrolLater,
    Go,
    HolderPolicy,
    Input,
    JobArrived,
    KnownJob,
    LogFrozen,
    Memory,
    NoticeAnswered,
    NoticeArrived,
    NoticeKept,
    OfferArrived,
    PayloadArrived,
    Placed,
    Refusal,
    Refused,
    SeenNotice,
    TaskArrived,
    Visit,
)
from wallets.agent.names import uuid_bytes, uuid_text

# σ of a bucket sum is at least a tenth of the clip bound (structural rule 5), hence the 100 below; the share is rounded to
# micro-units, hence this.
ROUNDING_PER_MILLE = 998


class _No(Exception):
    """Carries the first refusal out of a chain of checks."""

    def __init__(self, refusal: Refusal, detail: str = "") -> None:
        super().__init__(refusal)
        self.refused = Refused(refusal=refusal, detail=detail)


class HolderMachine:
    """Decides for one holder. `policy` holds the holder's own limits; everything else comes with each input.

    `remembered`: where the wallets of one process remember which signed task or published document equal bytes are.
    """

    def __init__(self, policy: HolderPolicy, *, remembered: Once = once.always) -> None:
        self.policy = policy
        self._once = remembered

    def decide(self, event: Input) -> Decision:
        """The decision on one input. Never raises on what a server sent; Refused carries the named reason."""
        try:
            match event:
                case TaskArrived():
                    return self._task(event)
                case AboutToLeave():
                    return self._leave(event.visit, event.permit, event.now)
                case PayloadArrived():
                    return self._payload(event)
                case JobArrived():
                    return self._job(event)
                case LogFrozen():
                    return self._placed(event)
                case NoticeArrived():
                    return self._notice(event)
                case NoticeAnswered():
                    return _choice(event)
                case OfferArrived():
                    return self._offer(event)
        except _No as no:
            return no.refused

    def account(
        self, visit: Visit, ledger: Ledger, budgets: Budgets, *, formal: bool, now: int
    ) -> Ledger | Refused:
        """The person's ledger with an accepted visit charged, or the named budget that the visit would exceed.

        Asked in the same transaction as the acceptance: refused, nothing of the acceptance is stored.
        """
        found = accounts.charge(
            ledger,
            budgets,
            header=visit.header,
            collective_id=visit.collective_id,
            job_id=visit.job.job_id,
            formal=formal,
            now=now,
        )
        return found if isinstance(found, Ledger) else Refused(refusal=found)

    def _offer(self, event: OfferArrived) -> Decision:
        if event.permit is not None:
            raise _No(Refusal.ALREADY_SUBSCRIBED)
        terms, key = self._published(Terms, "terms", event.envelope)
        if key != terms.collective_key or terms.collective_id != event.collective_id:
            raise _No(Refusal.WRONG_TERMS)
        if terms.development and not self.policy.allow_development:
            raise _No(Refusal.DEVELOPMENT_TERMS)
        if not terms.development:
            self._own_minima(terms.bucket_min, terms.release_min)
        return AskHolder(terms=terms)

    def _published(self, parsed: Any, kind: str, envelope: Any, key: str | None = None) -> tuple[Any, str]:
        """What a document says that goes to everybody, and the key that signed it: the one in `key` where one is expected.

        A function of these arguments alone, so wallets of one host that were sent the same text look at it once. What of it suits a
        wallet, each decides for itself.
        """

        def look() -> tuple[Any, str]:
            document, signer = _open(envelope, kind, key)
            return _parsed(parsed, document), signer

        try:
            text = json.dumps(envelope)
        except (TypeError, ValueError, RecursionError):  # not plain JSON: looking says what is wrong
            return look()
        return self._once(("published", kind, key, text), look)

    def _notice(self, event: NoticeArrived) -> Decision:
        permit = _live(event.permit, event.now)
        notice, _ = self._published(Notice, "notice", event.envelope, permit.collective_key)
        if notice.collective_id != permit.collective_id:
            raise _No(Refusal.WRONG_COLLECTIVE)
        known = next((seen for seen in event.memory.notices if seen.notice_ref == notice.notice_ref), None)
        if known is not None:
            return NoticeKept(memory=event.memory, seen=known, repeated=True)
        if notice.effective - notice.announced < permit.notice_seconds:
            raise _No(Refusal.NOTICE_TOO_SHORT)
        _inside_class(notice, permit)
        if len(event.memory.notices) >= self.policy.notices_kept:
            raise _No(Refusal.TOO_MANY)
        seen = SeenNotice(
            notice_ref=notice.notice_ref,
            subject=notice.subject,
            manifest_hash=notice.manifest_hash,
            reason=notice.reason,
            first_seen=event.now,
            effective=notice.effective,
            silence=permit.silence,
        )
        memory = replace(event.memory, notices=(*event.memory.notices, seen))
        return NoticeKept(memory=memory, seen=seen, repeated=False)

    def _job(self, event: JobArrived) -> Decision:
        permit = _live(event.permit, event.now)
        job, _ = self._published(JobAnnouncement, "job", event.envelope, permit.collective_key)
        if job.collective_id != permit.collective_id:
            raise _No(Refusal.WRONG_COLLECTIVE)
        if event.memory.paused:
            raise _No(Refusal.PAUSED)
        if job.expires <= event.now or job.enrol_until < event.now:
            raise _No(Refusal.JOB_EXPIRED)
        if job.rate != permit.rate:
            raise _No(Refusal.RATE_TOO_LOW)
        self._agreed_minima(permit, job.bucket_min, job.release_min)
        from_when = _allowed_from(permit, event.memory, job.manifest_hash)
        if from_when > event.now:
            if from_when <= job.enrol_until:
                return EnrolLater(at=from_when)
            raise _No(Refusal.NOTICE_RUNNING)
        known = event.memory.job(job.job_id) or KnownJob.announced(job)
        kept = [old for old in event.memory.jobs if old.job_id != job.job_id and old.expires > event.now]
        if len(kept) >= self.policy.jobs_kept:
            raise _No(Refusal.TOO_MANY)
        return Enrol(memory=replace(event.memory, jobs=(*kept, known)), job=known)

    def _placed(self, event: LogFrozen) -> Decision:
        job = event.memory.job(event.job_id)
        if job is None:
            raise _No(Refusal.UNKNOWN_JOB)
        if job.log_root and job.log_root != event.root.hex():
            # A log freezes once: a second root would put us into a cohort drawn from another list.
            raise _No(Refusal.NOT_IN_LOG)
        body = {"job": uuid_bytes(event.job_id), "root": event.root, "size": event.size}
        try:
            signing.verify(bytes.fromhex(job.distributor_key), b"cssi/v1/log", body, event.signature)
            merkle.verify_inclusion(event.leaf, event.index, event.size, event.proof, event.root)
        except WireError:
            raise _No(Refusal.NOT_IN_LOG) from None
        placed = replace(job, log_root=event.root.hex(), log_size=event.size, log_index=event.index)
        return Placed(memory=event.memory.with_job(placed))

    def _task(self, event: TaskArrived) -> Decision:
        permit = _live(event.permit, event.now)
        task = self._task_of(event, permit)
        job = event.memory.job(uuid_text(task.job))
        if job is None:
            raise _No(Refusal.UNKNOWN_JOB)
        header = self._once(("header", task.header), lambda: _header_of(task))
        _same_terms(task, permit, job)
        self._fitting_header(header, task, permit, job)
        if _allowed_from(permit, event.memory, task.manifest.hex()) > event.now:
            raise _No(Refusal.NOTICE_RUNNING)
        if task.expires <= event.now:
            raise _No(Refusal.TASK_EXPIRED)
        if job.expires <= event.now:
            raise _No(Refusal.JOB_EXPIRED)
        if task.round <= job.last_round:
            raise _No(Refusal.REPLAYED_ROUND)
        if task.round > job.max_rounds:
            raise _No(Refusal.TOO_MANY_ROUNDS)
        if not event.sandbox_fits:
            raise _No(Refusal.SANDBOX_TOO_LOW)
        recent, cost = self._own_limits(event.memory, event.now), privacy_cost(header)
        _own_budget(event.memory, header, cost)
        if event.missing:
            raise _No(Refusal.DATA_MISSING, "; ".join(event.missing[:3]))
        used = replace(job, last_round=task.round)
        memory = replace(
            event.memory.with_job(used),
            visits=(*recent, event.now),
            visited=event.memory.visited + 1,
            spent_micro=event.memory.spent_micro + cost,
        )
        visit = Visit(
            collective_id=permit.collective_id,
            collective_key=permit.collective_key,
            agreement_hash=permit.agreement_hash,
            job=used,
            task=task,
            header=header,
        )
        return Accept(memory=memory, visit=visit)

    def _task_of(self, event: TaskArrived, permit: Permit) -> Task:
        known = ("task", event.body, event.signature, permit.collective_key)
        try:
            task = self._once(
                known, lambda: Task.verify(event.body, event.signature, bytes.fromhex(permit.collective_key))
            )
        except TermsError:
            raise _No(Refusal.MALFORMED) from None
        except WireError:
            raise _No(Refusal.BAD_SIGNATURE) from None
        if uuid_text(task.collective) != permit.collective_id:
            raise _No(Refusal.WRONG_COLLECTIVE)
        return task

    def _payload(self, event: PayloadArrived) -> Decision:
        self._leave(event.visit, event.permit, event.now)
        task = event.visit.task
        if event.manifest_hash != task.manifest or event.checkpoint_hash != task.checkpoint:
            raise _No(Refusal.WRONG_PAYLOAD)
        if not event.weights_in_range:
            raise _No(Refusal.WEIGHTS_OUT_OF_RANGE)
        if event.trap:
            raise _No(Refusal.TRAP_WEIGHTS)
        if event.missing:
            raise _No(Refusal.DATA_MISSING, "; ".join(event.missing[:3]))
        return Go()

    def _leave(self, visit: Visit, permit: Permit | None, now: int) -> Decision:
        current = _live(permit, now)
        if current.agreement_hash != visit.agreement_hash or current.collective_key != visit.collective_key:
            raise _No(Refusal.PERMIT_CHANGED)
        return Go()

    def _own_limits(self, memory: Memory, now: int) -> tuple[int, ...]:
        """Visits of the last 24 hours; the refusal when one more would be too many, or the holder paused."""
        if memory.paused:
            raise _No(Refusal.PAUSED)
        recent = tuple(at for at in memory.visits if at > now - DAY_SECONDS)
        own = memory.limits.visits_per_day or self.policy.visits_per_day
        if len(recent) >= min(own, self.policy.visits_per_day):
            raise _No(Refusal.DAILY_LIMIT)
        return recent

    def _own_minima(self, bucket_min: int, release_min: int) -> None:
        if bucket_min < self.policy.bucket_min or release_min < self.policy.release_min:
            raise _No(Refusal.MINIMA_TOO_LOW)

    @staticmethod
    def _agreed_minima(permit: Permit, bucket_min: int, release_min: int) -> None:
        if bucket_min < permit.bucket_min or release_min < permit.release_min:
            raise _No(Refusal.MINIMA_TOO_LOW)

    def _fitting_header(self, header: Header, task: Task, permit: Permit, job: KnownJob) -> None:
        """The header every mask key derives from must say what the signed task says, and no less than the permit."""
        if (
            header.job != task.job
            or header.round != task.round
            or header.manifest_hash != task.manifest
            or header.checkpoint_hash != task.checkpoint
            or header.distributor_key.hex() != job.distributor_key
            or not job.log_root
            or header.log_root.hex() != job.log_root
            or header.log_size != job.log_size
        ):
            raise _No(Refusal.HEADER_MISMATCH)
        seed = seed_of(job=header.job, number=header.round, checkpoint=header.checkpoint_hash)
        if header.rotation_seed not in (b"", seed):
            raise _No(Refusal.UNSUPPORTED)
        if header.d > self.policy.largest_update:
            raise _No(Refusal.MODEL_TOO_LARGE)
        self._agreed_minima(permit, header.bucket_min, header.release_min)
        # σ of the smallest allowed bucket sum is √bucket_min × share; squared, and in integers.
        if 100 * header.noise_micro**2 * header.bucket_min * 1000 < header.clip_micro**2 * ROUNDING_PER_MILLE:
            raise _No(Refusal.NOISE_TOO_LOW)


def _own_budget(memory: Memory, header: Header, cost: int) -> None:
    """What the holder set for this collective: smallest groups, visits in all, privacy in all."""
    limits = memory.limits
    if header.bucket_min < limits.bucket_min or header.release_min < limits.release_min:
        raise _No(Refusal.MINIMA_TOO_LOW)
    if limits.visits_total and memory.visited >= limits.visits_total:
        raise _No(Refusal.TOTAL_LIMIT)
    if limits.privacy_micro and memory.spent_micro + cost > limits.privacy_micro:
        raise _No(Refusal.PRIVACY_BUDGET)


def _choice(event: NoticeAnswered) -> Decision:
    if not any(seen.notice_ref == event.notice_ref for seen in event.memory.notices):
        raise _No(Refusal.UNANNOUNCED_ALGORITHM)
    notices = tuple(
        replace(seen, choice=event.choice.value) if seen.notice_ref == event.notice_ref else seen
        for seen in event.memory.notices
    )
    return ChoiceKept(memory=replace(event.memory, notices=notices), leave=event.choice is Choice.LEAVE)


def _allowed_from(permit: Permit, memory: Memory, manifest_hash: str) -> int:
    """From when on a manifest may run here: at once when it was in the signed permit, else once its notice period has
    passed *on our clock since we first saw it*, unless the holder (or the agreed meaning of silence) said without."""
    if manifest_hash in permit.manifests:
        return 0
    notice = memory.notice_for(manifest_hash)
    if notice is None:
        raise _No(Refusal.UNANNOUNCED_ALGORITHM)
    answer = notice.choice or permit.silence
    if answer != Choice.WITH.value:
        raise _No(Refusal.OPTED_OUT)
    return max(notice.effective, notice.first_seen + permit.notice_seconds)


def _inside_class(notice: Notice, permit: Permit) -> None:
    try:
        manifest = parse_manifest(notice.manifest)
    except TermsError:
        raise _No(Refusal.MALFORMED) from None
    if classes.outside(permit.algorithm_class, manifest):
        raise _No(Refusal.OUTSIDE_CLASS)


def _live(permit: Permit | None, now: int) -> Permit:
    if permit is None:
        raise _No(Refusal.NO_PERMIT)
    if permit.expires <= now:
        raise _No(Refusal.PERMIT_EXPIRED)
    return permit


def _header_of(task: Task) -> Header:
    try:
        return Header.from_bytes(task.header)
    except ProtocolError:
        raise _No(Refusal.MALFORMED) from None


def _same_terms(task: Task, permit: Permit, job: KnownJob) -> None:
    if task.requirement.hex() != permit.requirement_hash:
        raise _No(Refusal.WRONG_REQUIREMENT)
    if task.manifest.hex() != job.manifest_hash:
        raise _No(Refusal.WRONG_MANIFEST)
    if task.rate != permit.rate:
        raise _No(Refusal.RATE_TOO_LOW)


def _open(envelope: Any, kind: str, key: str | None) -> tuple[Any, str]:
    """The verified document of an envelope and the key that signed it."""
    try:
        signed = SignedDocument.from_json(envelope)
        return signed.open(kind, key), signed.key
    except TermsError as error:
        raise _No(
            Refusal.BAD_SIGNATURE if "sig" in error.code or "key" in error.code else Refusal.MALFORMED
        ) from None
    except WireError:
        raise _No(Refusal.BAD_SIGNATURE) from None


def _parsed(kind: Any, document: Any) -> Any:
    try:
        return kind.parse(document)
    except TermsError:
        raise _No(Refusal.MALFORMED) from None
