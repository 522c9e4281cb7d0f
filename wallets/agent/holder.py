"""One holder's wallet behind its own pages: create, unlock, run, lock; and the questions that wait for an answer.

While the wallet is open its agent runs in this process. Locking stops the agent, closes the store and overwrites its key; the pages
stay and show the way back in.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from aggregation.wire.secret import Secret
from wallets.agent import backup, consent, earnings, journal, keyfile, locking, settings, vault
from wallets.agent.agent import WalletAgent
from wallets.agent.consent import Consent, Question, Rule
from wallets.agent.errors import BadData, NotFound, SandboxError, StoreError
from wallets.agent.journal import Kind
from wallets.agent.keyfile import SlotKind
from wallets.agent.messages import HolderPolicy
from wallets.agent.sandbox.launcher import Launcher
from wallets.agent.terminal import SHORTEST_PASSPHRASE
from wallets.agent.transport import Transport
from wallets.agent.vault import KEYS, AskarStore

WATCH_SECONDS = 1.0


@dataclass(kw_only=True)
class Pending:
    """A question that waits for the holder."""

    ident: str
    question: Question
    answer: asyncio.Future[str] = field(repr=False)


class Holder:
    """The lifecycle of one wallet folder. `development`: allow terms with lowered minima, for trying things out."""

    def __init__(
        self,
        directory: Path,
        *,
        development: bool = False,
        launcher: Callable[[], Launcher] = Launcher,
        now: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        self.directory = directory
        self.now = now
        self.pending: dict[str, Pending] = {}
        self.sandbox = "starting"
        self.background: set[asyncio.Task[None]] = set()
        self._development, self._new_launcher = development, launcher
        self._agent: WalletAgent | None = None
        self._running: list[asyncio.Task[None]] = []
        self._changing = asyncio.Lock()

    @property
    def state(self) -> str:
        """`none`, `locked` or `open`."""
        if self._agent is not None:
            return "open"
        return "locked" if (self.directory / KEYS).exists() else "none"

    @property
    def agent(self) -> WalletAgent:
        """The open wallet's agent; StoreError (locked) otherwise."""
        if self._agent is None:
            raise StoreError("The wallet is locked. Unlock it first.", code="locked")
        return self._agent

    def touch(self) -> None:
        """The holder did something: the time until the wallet locks itself starts again."""
        if self._agent is not None:
            locking.touch(self.directory)

    async def create(self, passphrase: str) -> str:
        """Make the wallet and open it; the recovery code, which is not shown again. Raises BadData, StoreExists."""
        check_new_passphrase(passphrase)
        async with self._changing:
            store, code = await vault.create(
                self.directory, rng=secrets.token_bytes, passphrase=Secret(passphrase.encode())
            )
            await journal.Journal(store).append(self.now(), Kind.CREATED)
            await self._open(store)
        assert code is not None
        return code

    async def unlock(self, kind: SlotKind, secret: Secret) -> None:
        """Open the wallet and start its agent. Raises WrongPassphrase, LockedOut, StoreMissing."""
        async with self._changing:
            if self._agent is None:
                await self._open(await vault.open_with(self.directory, kind, secret, now=self.now()))

    async def restore(self, body: bytes, kind: SlotKind, secret: Secret) -> None:
        """Make the wallet out of a backup and open it."""
        async with self._changing:
            if self.state != "none":
                raise BadData("There is a wallet here already. Restore into an empty folder.")
            store = await backup.restore(
                body, self.directory, kind, secret, now=self.now(), rng=secrets.token_bytes
            )
            await self._open(store)

    async def lock(self) -> None:
        """Stop the agent, close the store, overwrite its key. Doing it twice changes nothing."""
        async with self._changing:
            await self._shut()

    async def _shut(self) -> None:
        agent, self._agent = self._agent, None
        if agent is None:
            return
        here = asyncio.current_task()
        for pending in self.pending.values():
            pending.answer.cancel()
        self.pending.clear()
        tasks = [task for task in (*self._running, *self.background) if task is not here]
        self._running.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await agent.stop()
        await agent.launcher.close()
        await agent.transport.close()
        await agent.store.close()

    async def ask(self, question: Question) -> str:
        """Put a question on the page and wait; the first answer changes nothing and is taken when the wallet is locked."""
        for waiting in self.pending.values():
            if waiting.question == question:
                return await asyncio.shield(waiting.answer)
        pending = Pending(
            ident=secrets.token_hex(8), question=question, answer=asyncio.get_running_loop().create_future()
        )
        self.pending[pending.ident] = pending
        try:
            return await pending.answer
        finally:
            self.pending.pop(pending.ident, None)

    def answer(self, ident: str, answer: str) -> None:
        """The holder answered. Raises NotFound for a question that is gone, BadData for an answer that was not offered."""
        pending = self.pending.get(ident)
        if pending is None or pending.answer.done():
            raise NotFound("This question has been answered already.")
        if answer not in pending.question.answers:
            raise BadData(f"Choose one of: {', '.join(pending.question.answers)}.")
        pending.answer.set_result(answer)

    def locked_until(self) -> int:
        """Until when attempts are refused, unix seconds; 0 when they are not."""
        with suppress(StoreError):
            until = keyfile.read(self.directory / KEYS).locked_until
            return until if until > self.now() else 0
        return 0

    async def rebuild_policy(self) -> None:
        """Take changed settings into use at once."""
        kept = await settings.load(self.agent.store)
        self.agent.machine.policy = self._policy(kept)
        self.agent.lowest_sandbox = kept.lowest_sandbox

    def _policy(self, kept: settings.Settings) -> HolderPolicy:
        return HolderPolicy(allow_development=self._development, visits_per_day=kept.visits_per_day)

    async def _open(self, store: AskarStore) -> None:
        rule, kept = await store.get(*consent.RULE), await settings.load(store)
        agent = WalletAgent(
            name=self.directory.name,
            store=store,
            transport=Transport(),
            launcher=self._new_launcher(),
            consent=Consent(Rule(rule["rule"]) if rule else Rule.ASK, self.ask),
            now=self.now,
            rng=secrets.token_bytes,
            policy=self._policy(kept),
            lowest_sandbox=kept.lowest_sandbox,
        )
        await agent.load()
        self._agent, self.sandbox = agent, "starting"
        guard = locking.AutoLock(self.directory, idle_seconds=kept.lock_after_minutes * 60)
        guard.begin()
        work = (agent.run(), self._hold(agent), self._watch(agent, guard), earnings.keep_asking(agent))
        self._running = [asyncio.get_running_loop().create_task(one) for one in work]

    async def _hold(self, agent: WalletAgent) -> None:
        """Start the sandbox and try the quick ways out; until then, and if one works, no task is run."""
        agent.sandbox_trusted = False
        try:
            failed = await agent.launcher.got_out()
        except SandboxError:
            self.sandbox = "failed"
            return
        agent.sandbox_trusted = not failed
        self.sandbox = "failed" if failed else agent.launcher.level.value

    async def _watch(self, agent: WalletAgent, guard: locking.AutoLock) -> None:
        """Lock when asked or idle; notice what another process changed."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            guard.idle_seconds = (await settings.load(agent.store)).lock_after_minutes * 60
            if guard.due(time.time()) is not None:
                await self.lock()
                return
            await agent.refresh()


def check_new_passphrase(text: str) -> None:
    """Raises BadData when it is too short to stand against guessing."""
    if len(text) < SHORTEST_PASSPHRASE:
        raise BadData(f"The passphrase has {len(text)} characters; take at least {SHORTEST_PASSPHRASE}.")
