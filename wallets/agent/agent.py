"""The wallet agent: ties the store, the machine, the sandbox and the sessions together for one holder.

Every decision follows one pattern: in one transaction read the permit and the memory, let the machine decide, write the
new memory and the journal; only after the commit does an answer leave.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from aggregation.secagg.messages import Enrolment
from aggregation.wire import signing
from aggregation.wire.secret import Secret
from collectives.terms.permit import Permit
from wallets.agent import credentials, journal, membership
from wallets.agent.consent import Consent, Rule
from wallets.agent.errors import NotFound, Unreachable, WalletError
from wallets.agent.identity import SubscriptionKeys
from wallets.agent.journal import Journal, Kind
from wallets.agent.machine import HolderMachine
from wallets.agent.material import Material, missing_for
from wallets.agent.messages import (
    AboutToLeave,
    Accept,
    Choice,
    ChoiceKept,
    Enrol,
    EnrolLater,
    HolderPolicy,
    JobArrived,
    LogFrozen,
    Memory,
    NoticeAnswered,
    NoticeArrived,
    NoticeKept,
    Placed,
    Refusal,
    Refused,
    TaskArrived,
    Visit,
)
from wallets.agent.outbox import Outbox
from wallets.agent.patience import patiently
from wallets.agent.rounds import Delivery, RoundSession
from wallets.agent.sandbox.launcher import Launcher
from wallets.agent.server import RECORD as SERVER_RECORD
from wallets.agent.server import ServerDescription
from wallets.agent.session import DistributorSession
from wallets.agent.transport import Transport
from wallets.agent.vault import Records, WalletStore

OFFER_ATTEMPTS = 20
SHORTEST_FLUSH, LONGEST_FLUSH = 2.0, 60.0


class Observer(Protocol):
    """Told what happens, in fixed words; never given a value of the holder's data."""

    def __call__(self, wallet: str, name: str, what: dict[str, Any]) -> None:
        """One event of one wallet."""


class WalletAgent:
    """One holder's agent. `spy` is for tests of exactness only: it sees the quantised update before masking."""

    round_session: Callable[[WalletAgent, Visit, Delivery], RoundSession] = RoundSession

    def __init__(
        self,
        *,
        name: str,
        store: WalletStore,
        transport: Transport,
        launcher: Launcher,
        consent: Consent,
        now: Callable[[], int],
        rng: Callable[[int], bytes],
        policy: HolderPolicy | None = None,
        observer: Observer | None = None,
        spy: Callable[[Visit, Any], None] | None = None,
    ) -> None:
        self.name = name
        self.store = store
        self.transport = transport
        self.launcher = launcher
        self.consent = consent
        self.now = now
        self.rng = rng
        self.machine = HolderMachine(policy or HolderPolicy())
        self.journal = Journal(store)
        self.outbox = Outbox(store, transport, rng)
        self.session = DistributorSession(self)
        self._observer = observer
        self._spy = spy
        self._server: ServerDescription | None = None
        self._routes: dict[bytes, str] = {}  # subscription key -> collective, also of ended subscriptions
        self.subscribing = asyncio.Lock()
        self._mailbox: bytes | None = None
        self._retry: asyncio.Task[None] | None = None
        self._invited: dict[bytes, Visit] = {}
        self._visits: dict[str, set[asyncio.Task[None]]] = {}
        self._background: set[asyncio.Task[None]] = set()

    # what the sessions need

    @property
    def server(self) -> ServerDescription:
        """The pinned server; NotFound before pairing."""
        if self._server is None:
            raise NotFound("This wallet knows no server yet. Pair it first.", code="not_paired")
        return self._server

    async def load(self) -> None:
        """Read what is kept in memory between inputs: the pinned server and which key belongs to which collective."""
        document = await self.store.get(*SERVER_RECORD)
        self._server = ServerDescription.parse(document) if document else None
        mailbox = await self.store.get("key", "mailbox")
        self._mailbox = signing.public_key(Secret(bytes.fromhex(mailbox["private"]))) if mailbox else None
        for collective_id, record in (await self.store.list("keys")).items():
            self._routes[SubscriptionKeys.from_record(record).public] = collective_id

    async def pin_server(self, document: dict[str, Any]) -> None:
        """Pin a server's description."""
        self._server = ServerDescription.parse(document)
        await self.store.put(*SERVER_RECORD, document)

    async def run(self) -> None:
        """Stay connected and answer, until cancelled."""
        try:
            await self.session.run()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Cancel running visits and background work."""
        running = [*self._background, *(task for tasks in self._visits.values() for task in tasks)]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def event(self, name: str, **what: Any) -> None:
        """Tell the observer, if there is one."""
        if self._observer is not None:
            self._observer(self.name, name, what)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run in the background until done or until the agent stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def record(self, kind: Kind, **what: str | int) -> None:
        """One journal entry now."""
        await self.journal.append(self.now(), kind, **what)

    async def wire_keys(self) -> list[tuple[str, Secret]]:
        """Keys this wallet may be reached by: kind and private key."""
        keys: list[tuple[str, Secret]] = []
        mailbox = await self.store.get("key", "mailbox")
        if mailbox is not None:
            keys.append(("mailbox", Secret(bytes.fromhex(mailbox["private"]))))
        held = (await self.store.list("keys")).values()
        keys += [("subscription", SubscriptionKeys.from_record(record).subscription) for record in held]
        return keys

    async def permit(self, collective_id: str) -> Permit | None:
        """The permit as it stands in the store at this moment."""
        record = await self.store.get("permit", collective_id)
        return membership.permit_of(record)

    async def material(self, visit: Visit) -> Material:
        """What a visit works with, read once; NotFound (code no_permit) when the subscription has ended."""
        stored = await _present(self.store, "permit", visit.collective_id)
        job = await _present(self.store, "jobkey", visit.job.job_id)
        keys = await _present(self.store, "keys", visit.collective_id)
        return Material(
            permit=stored,
            record=await credentials.load(self.store),
            keys=SubscriptionKeys.from_record(keys),
            job_key=Secret(bytes.fromhex(job["private"])),
        )

    async def flush_outgoing(self) -> None:
        """Send what could not be sent before; what still waits is tried again later while the agent runs."""
        for refusal in await self.outbox.flush(self._server):
            await self.record(Kind.REFUSED, code=refusal.code, sentence=str(refusal))
        if self._retry is None and await self.outbox.waiting():
            self._retry = self.spawn(self._flush_until_empty())

    async def _flush_until_empty(self) -> None:
        wait = SHORTEST_FLUSH
        try:
            while await self.outbox.waiting():
                await asyncio.sleep(wait)
                wait = min(LONGEST_FLUSH, wait * 2)
                await self.outbox.flush(self._server)
        finally:
            self._retry = None

    # what the distributor sends

    async def on_mail(self, *, to: bytes, kind: str, body: bytes) -> str | None:
        """Handle one mail; the outcome to acknowledge with, or None to have it delivered again later."""
        document = json.loads(body)
        if to == self._mailbox:
            if kind == "offer":
                return await self._on_offer(document)
            return await self._on_choice(document) if kind == "notice" else "refused"
        collective_id = self._routes.get(to)
        if collective_id is None:
            return "refused"
        if kind == "notice":
            return await self._on_notice(collective_id, document)
        if kind == "revoked":
            await membership.forget(self, collective_id)
            return "done"
        return "refused"

    async def _on_offer(self, offer: dict[str, Any]) -> str | None:
        try:
            await patiently(
                lambda: membership.subscribe(self, offer, through_pairing=True),
                rng=self.rng,
                longest=60.0,
                attempts=OFFER_ATTEMPTS,
            )
            return "done"
        except Unreachable:
            return None
        except WalletError as error:
            self.event("not_subscribed", code=error.code)
            return "refused"

    async def _on_choice(self, document: dict[str, Any]) -> str | None:
        """The holder answered a notice on the web; taken as said only where a rule of the holder's covers it."""
        if self.consent.rule is Rule.ASK:
            return "refused"
        try:
            await self.answer_notice(
                str(document["collective_id"]), str(document["notice_ref"]), Choice(document["choice"])
            )
        except NotFound:
            return None  # the notice itself has not come yet
        return "done"

    async def _on_notice(self, collective_id: str, envelope: dict[str, Any]) -> str:
        async with self.store.transaction() as records:
            permit, memory = await _standing(records, collective_id)
            event = NoticeArrived(envelope=envelope, permit=permit, memory=memory, now=self.now())
            decision = self.machine.decide(event)
            if isinstance(decision, Refused):
                await self._refuse(records, decision, collective_id)
                return "refused"
            assert isinstance(decision, NoticeKept)
            if not decision.repeated:
                await records.put("memory", collective_id, decision.memory.to_record())
                await journal.append(
                    records,
                    self.now(),
                    Kind.NOTICE,
                    collective_id=collective_id,
                    sentence=decision.seen.reason[:200],
                )
        if not decision.seen.choice and permit is not None:
            choice = await self.consent.to_notice(permit.name, decision.seen)
            if choice is not None:
                await self.answer_notice(collective_id, decision.seen.notice_ref, choice)
        return "done"

    async def answer_notice(self, collective_id: str, notice_ref: str, choice: Any) -> None:
        """Keep the holder's choice, tell the collective when it can be reached, and leave when asked to."""
        async with self.store.transaction() as records:
            _, memory = await _standing(records, collective_id)
            decision = self.machine.decide(
                NoticeAnswered(notice_ref=notice_ref, choice=choice, memory=memory)
            )
            if isinstance(decision, Refused):
                raise NotFound("There is no such notice.")
            assert isinstance(decision, ChoiceKept)
            await records.put("memory", collective_id, decision.memory.to_record())
            await membership.queue_notice_answer(self, records, collective_id, notice_ref, choice)
        if decision.leave:
            await membership.revoke(self, collective_id)
        else:
            await self.flush_outgoing()

    async def on_job(self, *, to: bytes, body: bytes) -> bytes | None:
        """The signed enrolment in a job, or None to decline."""
        collective_id = self._routes.get(to, "")
        envelope = json.loads(body)
        while True:
            async with self.store.transaction() as records:
                permit, memory = await _standing(records, collective_id)
                event = JobArrived(envelope=envelope, permit=permit, memory=memory, now=self.now())
                decision = self.machine.decide(event)
                if isinstance(decision, Refused):
                    await self._refuse(records, decision, collective_id)
                    return None
                if isinstance(decision, Enrol):
                    return await self._enrol(records, collective_id, decision)
            assert isinstance(decision, EnrolLater)
            await asyncio.sleep(max(0.05, decision.at - self.now()))

    async def _enrol(self, records: Records, collective_id: str, decision: Enrol) -> bytes:
        job = decision.job
        known = await records.get("jobkey", job.job_id)
        if known is not None:
            return bytes.fromhex(known["enrolment"])
        private = signing.generate(self.rng)
        keys = SubscriptionKeys.from_record(await _present(records, "keys", collective_id))
        enrolment = Enrolment.sign(
            keys.subscription,
            job=_uuid_bytes(job.job_id),
            collective=_uuid_bytes(collective_id),
            manifest_hash=bytes.fromhex(job.manifest_hash),
            job_key=signing.public_key(private),
            expires=job.expires,
        ).to_bytes()
        record = {
            "private": private.reveal().hex(),
            "enrolment": enrolment.hex(),
            "collective_id": collective_id,
        }
        await records.put("jobkey", job.job_id, record)
        await records.put("memory", collective_id, decision.memory.to_record())
        await journal.append(records, self.now(), Kind.ENROLLED, collective_id=collective_id, job=job.job_id)
        self.event("enrolled")
        return enrolment

    async def on_enrolled(
        self,
        *,
        to: bytes,
        job: bytes,
        index: int,
        size: int,
        root: bytes,
        proof: tuple[bytes, ...],
        signature: bytes,
    ) -> None:
        """Check and keep our place in a job's frozen log."""
        collective_id, job_id = self._routes.get(to, ""), _uuid_text(job)
        async with self.store.transaction() as records:
            _, memory = await _standing(records, collective_id)
            key = await records.get("jobkey", job_id)
            decision = self.machine.decide(
                LogFrozen(
                    job_id=job_id,
                    leaf=Enrolment.from_bytes(bytes.fromhex(key["enrolment"])).leaf() if key else b"",
                    index=index,
                    size=size,
                    root=root,
                    proof=proof,
                    signature=signature,
                    memory=memory,
                )
            )
            if isinstance(decision, Refused):
                await self._refuse(records, decision, collective_id, job=job_id)
            elif isinstance(decision, Placed):
                await records.put("memory", collective_id, decision.memory.to_record())

    async def on_invite(self, *, ident: bytes, to: bytes, body: bytes, signature: bytes) -> str | None:
        """None to accept, else the vague word to decline with."""
        known = self._invited.get(ident)
        if known is not None:
            return await self._accept_again(known)
        collective_id = self._routes.get(to, "")
        async with self.store.transaction() as records:
            stored = await records.get("permit", collective_id)
            event = TaskArrived(
                body=body,
                signature=signature,
                permit=membership.permit_of(stored),
                memory=Memory.from_record(await records.get("memory", collective_id)),
                missing=missing_for(stored, await credentials.load(records)) if stored else (),
                now=self.now(),
            )
            decision = self.machine.decide(event)
            if isinstance(decision, Refused):
                await self._refuse(records, decision, collective_id)
                return decision.refusal.wire
            assert isinstance(decision, Accept)
            await records.put("memory", collective_id, decision.memory.to_record())
            job_id, number = decision.visit.job.job_id, decision.visit.task.round
            await journal.append(
                records, self.now(), Kind.ACCEPTED, collective_id=collective_id, job=job_id, round=number
            )
        self._invited[ident] = decision.visit
        self.event("accepted", round=number)
        return None

    async def _accept_again(self, visit: Visit) -> str | None:
        """The acceptance may have been lost with the socket: the round is used up, but for this very invitation."""
        permit = await self.permit(visit.collective_id)
        decision = self.machine.decide(AboutToLeave(visit=visit, permit=permit, now=self.now()))
        return decision.refusal.wire if isinstance(decision, Refused) else None

    def on_deliver(self, *, ident: bytes, path: str, token: str, ticket: bytes) -> None:
        """Start the visit of an accepted task; a repeated delivery changes nothing."""
        visit = self._invited.pop(ident, None)
        if visit is None:
            return
        session = self.round_session(self, visit, Delivery(path=path, token=token, ticket=ticket))
        task = asyncio.get_running_loop().create_task(session.run())
        running = self._visits.setdefault(visit.collective_id, set())
        running.add(task)
        task.add_done_callback(running.discard)

    async def on_cancelled(self, *, ident: bytes, reason: str) -> None:
        """Fewer accepted than needed: nothing was delivered and nothing is owed."""
        visit = self._invited.pop(ident, None)
        if visit is not None:
            await self.record(
                Kind.OUTCOME,
                collective_id=visit.collective_id,
                job=visit.job.job_id,
                round=visit.task.round,
                code="cancelled",
                sentence=reason,
            )

    # what membership needs

    async def subscribed(self, collective_id: str, public: bytes) -> None:
        """A permit was stored: route the key and announce it on the open socket."""
        self._routes[public] = collective_id
        self.event("subscribed", collective_id=collective_id)
        with suppress(Unreachable):
            await self.session.bind()

    async def refresh(self) -> None:
        """Take up what another process changed in the store: new subscriptions are announced, deleted permits end visits."""
        held = await self.store.list("keys")
        for collective_id, record in held.items():
            self._routes[SubscriptionKeys.from_record(record).public] = collective_id
        for collective_id in [cid for cid, tasks in self._visits.items() if tasks and cid not in held]:
            await self.cancel_visits(collective_id)
        with suppress(Unreachable):
            await self.session.bind()

    async def cancel_visits(self, collective_id: str) -> int:
        """Stop running visits of a collective at once; the sandbox kills their processes."""
        for ident in [
            ident for ident, visit in self._invited.items() if visit.collective_id == collective_id
        ]:
            del self._invited[ident]
        tasks = tuple(self._visits.get(collective_id, ()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(tasks)

    # what a visit needs

    def spy_on(self, visit: Visit, update: Any) -> None:
        """Hand the quantised update to a test's spy, when the constructor was given one."""
        if self._spy is not None:
            self._spy(visit, update)

    async def note_revealed(self, visit: Visit) -> bool:
        """Durably note that this wallet answers the unmasking of a round; False when it already did."""
        name = f"{visit.job.job_id}:{visit.task.round}"
        async with self.store.transaction() as records:
            if await records.get("revealed", name) is not None:
                return False
            await records.put("revealed", name, {"at": self.now(), "collective_id": visit.collective_id})
        return True

    async def _refuse(
        self, records: Records, refused: Refused, collective_id: str, **what: str | int
    ) -> None:
        await journal.append(
            records,
            self.now(),
            Kind.REFUSED,
            collective_id=collective_id,
            code=refused.refusal.value,
            sentence=refused.sentence[:300],
            **what,
        )
        self.event("refused", code=refused.refusal.value)


async def _standing(records: Records, collective_id: str) -> tuple[Permit | None, Memory]:
    permit = membership.permit_of(await records.get("permit", collective_id))
    return permit, Memory.from_record(await records.get("memory", collective_id))


async def _present(records: Records, category: str, name: str) -> dict[str, Any]:
    found = await records.get(category, name)
    if found is None:
        raise NotFound("This subscription has ended.", code=Refusal.NO_PERMIT.value)
    return found


def _uuid_text(raw: bytes) -> str:
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _uuid_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))
