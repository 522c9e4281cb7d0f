"""The wallet agent: ties the store, the machine, the sandbox and the sessions together for one holder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from aggregation.wire import once, signing
from aggregation.wire.once import Once
from aggregation.wire.secret import Secret
from collectives.terms.permit import Permit
from wallets.agent import credentials, journal, permits
from wallets.agent.consent import Consent
from wallets.agent.errors import NotFound, Unreachable
from wallets.agent.gate import Gate
from wallets.agent.identity import SubscriptionKeys
from wallets.agent.inbox import Inbox
from wallets.agent.journal import Journal, Kind
from wallets.agent.machine import HolderMachine
from wallets.agent.material import Material, present
from wallets.agent.messages import HolderPolicy, Visit
from wallets.agent.outbox import Outbox
from wallets.agent.refusals import Refusal
from wallets.agent.rounds import Delivery, RoundSession
from wallets.agent.sandbox.launcher import Launcher
from wallets.agent.sandbox.policy import Level
from wallets.agent.server import RECORD as SERVER_RECORD
from wallets.agent.server import ServerDescription
from wallets.agent.session import DistributorSession
from wallets.agent.transport import Transport
from wallets.agent.vault import Records, WalletStore

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
        lowest_sandbox: Level = Level.FULL,
        remembered: Once = once.always,
    ) -> None:
        self.name = name
        self.store = store
        self.transport = transport
        self.launcher = launcher
        self.lowest_sandbox = lowest_sandbox
        self.sandbox_trusted = True
        self.consent = consent
        self.now = now
        self.rng = rng
        self.remembered = remembered
        self.compared: Once = once.Remembered(1)  # this wallet's data with what one collective asks for
        self.machine = HolderMachine(policy or HolderPolicy(), remembered=remembered)
        self.journal = Journal(store)
        self.outbox = Outbox(store, transport, rng)
        self.session = DistributorSession(self)
        self.inbox = Inbox(self)
        self.gate = Gate()
        self._observer = observer
        self._spy = spy
        self._server: ServerDescription | None = None
        self.routes: dict[bytes, str] = {}  # subscription key -> collective, also of ended subscriptions
        self.subscribing = asyncio.Lock()
        self.mailbox: bytes | None = None
        self._retry: asyncio.Task[None] | None = None
        self.visits: dict[str, set[asyncio.Task[None]]] = {}
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
        self.mailbox = signing.public_key(Secret(bytes.fromhex(mailbox["private"]))) if mailbox else None
        for collective_id, record in (await self.store.list("keys")).items():
            self.routes[SubscriptionKeys.from_record(record).public] = collective_id

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
        running = [*self._background, *(task for tasks in self.visits.values() for task in tasks)]
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

    async def note_refusal(
        self, refusal: Refusal, sentence: str = "", *, records: Records | None = None, **what: str | int
    ) -> None:
        """A refusal in the journal, by name. Of a flood of the same only some are kept, with the count of the others."""
        collective_id = str(what.get("collective_id", ""))
        self.event("refused", code=refusal.value)
        who = f"{refusal.value}:{collective_id}"
        if not self.gate.admits("journal", who, self.now()):
            return
        text = sentence or refusal.sentence
        others = self.gate.suppressed("journal", who)
        if others:
            text = f"{text} ({others} more like this were not written down.)"
        entry: dict[str, str | int] = {"code": refusal.value, "sentence": text[:300], **what}
        if records is None:
            await self.record(Kind.REFUSED, **entry)
        else:
            await journal.append(records, self.now(), Kind.REFUSED, **entry)

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
        return permits.permit_of(record)

    async def material(self, visit: Visit) -> Material:
        """What a visit works with, read once; NotFound (code no_permit) when the subscription has ended."""
        stored = await present(self.store, "permit", visit.collective_id)
        job = await present(self.store, "jobkey", visit.job.job_id)
        keys = await present(self.store, "keys", visit.collective_id)
        return Material(
            permit=stored,
            record=await credentials.load(self.store),
            keys=SubscriptionKeys.from_record(keys),
            job_key=signing.expanded(Secret(bytes.fromhex(job["private"]))),  # signs six times a visit
            remembered=self.compared,
        )

    def sandbox_fits(self, wanted: str) -> bool:
        """Whether a task may run in the sandbox as it is: at the holder's level, and at the collective's (`any`, `full`).

        Before the sandbox has started nothing is known of it, and then it fits nothing.
        """
        if not self.sandbox_trusted:
            return False  # a probe got out, or none has been tried yet
        lowered = self.lowest_sandbox is Level.REDUCED and wanted != "full"
        return self.launcher.level is Level.FULL or lowered

    async def sandbox_level(self) -> Level:
        """The level of this machine's sandbox; starts it when it has not started yet."""
        await self.launcher.start()
        return self.launcher.level

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

    # what membership needs

    async def subscribed(self, collective_id: str, public: bytes) -> None:
        """A permit was stored: route the key and announce it on the open socket."""
        self.routes[public] = collective_id
        self.event("subscribed", collective_id=collective_id)
        with suppress(Unreachable):
            await self.session.bind()

    async def refresh(self) -> None:
        """Take up what another process changed in the store: new subscriptions are announced, deleted permits end visits."""
        held = await self.store.list("keys")
        for collective_id, record in held.items():
            self.routes[SubscriptionKeys.from_record(record).public] = collective_id
        for collective_id in [cid for cid, tasks in self.visits.items() if tasks and cid not in held]:
            await self.cancel_visits(collective_id)
        with suppress(Unreachable):
            await self.session.bind()

    async def cancel_visits(self, collective_id: str) -> int:
        """Stop running visits of a collective at once; the sandbox kills their processes."""
        self.inbox.forget_invitations(collective_id)
        tasks = tuple(self.visits.get(collective_id, ()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(tasks)

    # what a visit needs

    def spy_on(self, visit: Visit, update: Any) -> None:
        """Hand the quantised update to a test's spy, when the constructor was given one."""
        if self._spy is not None:
            self._spy(visit, update)

    async def has_answered(self, question: str) -> bool:
        """Whether this wallet's answer to a question that is answered once has left before, to any collective."""
        return await self.store.get("answered", question) is not None

    async def note_answered(self, visit: Visit, question: str) -> None:
        """Durably note that this wallet's answer to a question that is answered once is about to leave."""
        kept = {"at": self.now(), "job": visit.job.job_id, "round": visit.task.round}
        await self.store.put("answered", question, kept)

    async def note_revealed(self, visit: Visit) -> bool:
        """Durably note that this wallet answers the unmasking of a round; False when it already did."""
        name = f"{visit.job.job_id}:{visit.task.round}"
        async with self.store.transaction() as records:
            if await records.get("revealed", name) is not None:
                return False
            await records.put("revealed", name, {"at": self.now(), "collective_id": visit.collective_id})
        return True
