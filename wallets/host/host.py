"""Many agents in one process, with one sandbox, one HTTP pool and a bounded number of open stores.

Every wallet has its own folder, store key, keys and websockets. Shared are the processor, the sandbox's parent process and
the HTTP connections (the servers see one network address for all wallets of a host anyway). The host's key file (32 random bytes, 0600) opens a slot of each wallet's key file, which saves Argon2id per wallet.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from aggregation.wire import once
from aggregation.wire.once import Once, Remembered
from aggregation.wire.secret import Secret
from wallets.agent import credentials, journal, leaving, membership, server, vault
from wallets.agent.agent import Observer, WalletAgent
from wallets.agent.consent import Consent, Rule
from wallets.agent.errors import NotFound, SandboxError, StoreDamaged, StoreError, WalletError
from wallets.agent.journal import Kind
from wallets.agent.keyfile import SlotKind
from wallets.agent.messages import HolderPolicy, Visit
from wallets.agent.patience import patiently
from wallets.agent.round_line import Step
from wallets.agent.sandbox.launcher import Launcher
from wallets.agent.sandbox.policy import Level
from wallets.agent.transport import Transport
from wallets.agent.vault import StorePool, WalletStore
from wallets.host.faults import FaultPlan, HostedRoundSession
from wallets.host.lines import Lines
from wallets.host.round_lines import PackedTransport
from wallets.host.shelf import Shelf
from wallets.host.spy import Spy

HOST_KEY = "host.key"
WALLETS = "wallets"
MOST_OPEN_STORES = 512
FILES_PER_STORE, OTHER_FILES = 8, 512
AT_ONCE = 8
REMEMBERED = 4096
"""A round of a thousand wallets in buckets of fifty makes two thousand results, a kilobyte each."""
ATTEMPTS = 20


class Host:
    """Wallets by name. `server_document` is the pinned server description new wallets start with (None: pair first).

    `packed`: they share standing connections (`wallets.host.lines`), sockets to the aggregator (`wallets.host.round_lines`), one file of
    stores (`wallets.host.shelf`) and the downloads of a round (`wallets.host.downloads`) in place of having one each; whoever asks for it gives a `PackedLauncher` too.
    """

    def __init__(
        self,
        directory: Path,
        *,
        now: Callable[[], int],
        rng: Callable[[int], bytes],
        server_document: Mapping[str, Any] | None = None,
        rule: Rule = Rule.HOST,
        policy: HolderPolicy | None = None,
        launcher: Launcher | None = None,
        observer: Observer | None = None,
        spy: Spy | None = None,
        lowest_sandbox: Level = Level.FULL,
        packed: bool = False,
    ) -> None:
        self.directory = directory
        self.agents: dict[str, WalletAgent] = {}
        self.faults = FaultPlan()
        self.spy = spy
        self.launcher = launcher or Launcher()
        self._now, self._rng = now, rng
        self._document = dict(server_document) if server_document else None
        self._rule, self._policy, self._observer = rule, policy, observer
        self._lowest_sandbox = lowest_sandbox
        self._transport = PackedTransport() if packed else Transport()
        self._pool = StorePool(_open_stores())
        self._packed = packed
        self._once: Once = Remembered(REMEMBERED) if packed else once.always
        self._lines = Lines(now, rng) if packed else None
        self._shelf: Shelf | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._key = Secret(b"")

    async def start(self) -> None:
        """Start the sandbox and try the quick ways out of it, then open the host's key and every wallet that is already in the folder.

        Raises SandboxError where a probe got out, or a layer is missing and `lowest_sandbox` does not allow it.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._key = _host_key(self.directory / HOST_KEY, self._rng)
        await self._try_the_sandbox()
        if self._packed:
            self._shelf = await self._take_shelf()
        await _each(self._existing(), self._open)

    async def _try_the_sandbox(self) -> None:
        got_out = await self.launcher.got_out()
        if got_out:
            raise SandboxError(
                f"The sandbox does not hold on this machine ({', '.join(got_out)}), so no task is run. Use another machine.",
                code="sandbox",
            )
        if self.launcher.level is Level.REDUCED and self._lowest_sandbox is Level.FULL:
            missing = ", ".join(sorted(self.launcher.missing))
            raise SandboxError(
                f"The sandbox lacks {missing} on this machine. Allow that with --sandbox reduced, or use another machine.",
                code="sandbox",
            )

    def pin_server(self, document: Mapping[str, Any]) -> None:
        """The server that wallets made from here on start with."""
        self._document = dict(document)

    async def create_wallets(self, records: Sequence[Mapping[str, Any]], *, prefix: str = "w") -> list[str]:
        """One new wallet per record; returns their names in order."""
        first = self._next_number(prefix)
        names = [f"{prefix}{first + index:05d}" for index in range(len(records))]
        by_name = dict(zip(names, records, strict=True))
        await _each(names, lambda name: self._create(name, by_name[name]))
        return names

    async def _take_shelf(self) -> Shelf:
        """A host whose starter was killed ends by itself, but takes a moment to write what it had."""
        for _ in range(ATTEMPTS):
            with suppress(StoreError):
                return Shelf(self.directory / WALLETS, self._key, self._rng)
            await asyncio.sleep(1)
        return Shelf(self.directory / WALLETS, self._key, self._rng)

    def _existing(self) -> list[str]:
        if self._shelf is not None:
            return self._shelf.names()
        # A folder without a key file is not yet a wallet: its making was stopped half-way.
        return sorted(path.parent.name for path in (self.directory / WALLETS).glob(f"*/{vault.KEYS}"))

    def _next_number(self, prefix: str) -> int:
        """Above every number in use, also of folders in which no wallet was finished."""
        folders = [path.name for path in (self.directory / WALLETS).glob(f"{prefix}*") if path.is_dir()]
        numbers = [name.removeprefix(prefix) for name in [*folders, *self.agents]]
        return max((int(number) + 1 for number in numbers if number.isdecimal()), default=0)

    async def pair(self, name: str, link: str) -> str:
        """Pair one wallet by its link and keep it connected."""
        agent, parsed = self.wallet(name), server.parse_link(link)
        label = await patiently(
            lambda: membership.pair(agent, parsed),
            rng=self._rng,
            shortest=0.5,
            longest=10.0,
            attempts=ATTEMPTS,
        )
        self.run_wallet(name)
        return label

    async def subscribe(self, names: Iterable[str], collective_id: str) -> Counter[str]:
        """Subscribe wallets to a collective and keep them connected; outcomes by code, "subscribed" when it worked."""
        outcomes: Counter[str] = Counter()
        offers: dict[
            str, dict[str, Any]
        ] = {}  # each wallet checks the signature itself, whoever fetched the terms

        async def one(name: str) -> None:
            agent = self.wallet(name)

            async def attempt() -> None:
                url = agent.server.api_url(f"collectives/{collective_id}/terms")
                if url not in offers:
                    offers[url] = {
                        "collective_id": collective_id,
                        "terms": await self._transport.call("GET", url),
                    }
                await membership.subscribe(agent, offers[url], through_pairing=False)

            try:
                await patiently(attempt, rng=self._rng, shortest=0.5, longest=10.0, attempts=ATTEMPTS)
            except WalletError as error:
                outcomes[error.code] += 1
                return
            outcomes["subscribed"] += 1
            self.run_wallet(name)

        await _each(list(names), one)
        return outcomes

    async def revoke(self, name: str, collective_id: str) -> leaving.Revocation:
        """Revoke in the wallet."""
        return await leaving.revoke(self.wallet(name), collective_id)

    async def books(self, name: str) -> dict[str, Any]:
        """What a wallet's own journal says of its visits, and where it is paid (hex; empty before a subscription)."""
        agent = self.wallet(name)
        entries = await agent.journal.entries(kinds=[Kind.VISIT, Kind.OUTCOME])
        payouts = list((await agent.store.list("payout")).values())
        return {
            "address": payouts[0]["address"] if payouts else "",
            "visits": sum(entry.kind == Kind.VISIT for entry in entries),
            "unconfirmed": sum(entry.code == "unconfirmed" for entry in entries),
        }

    def run_wallet(self, name: str) -> None:
        """Keep a wallet connected from now on."""
        if name not in self._running:
            self._running[name] = asyncio.get_running_loop().create_task(self.wallet(name).run())

    def run_all(self) -> None:
        """Keep every wallet connected from now on."""
        for name in self.agents:
            self.run_wallet(name)

    async def disconnect(self, name: str) -> None:
        """Stop a wallet's agent as if its machine was switched off; `run_wallet` starts it again."""
        task = self._running.pop(name, None)
        if task is not None:
            self.wallet(name).session.abort()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def wallet(self, name: str) -> WalletAgent:
        """The agent of that name."""
        try:
            return self.agents[name]
        except KeyError:
            raise NotFound(f"This host has no wallet {name}.") from None

    def reached(self, name: str, visit: Visit, step: Step) -> None:
        """Called by hosted visits after each step."""
        if self.spy is not None:
            self.spy.step(name, visit, step)

    def status(self) -> dict[str, Any]:
        """Counts only."""
        return {
            "pid": os.getpid(),
            "wallets": len(self.agents),
            "running": len(self._running),
            "subscribed": sum(bool(agent.routes) for agent in self.agents.values()),
            "connected": sum(agent.session.connected.is_set() for agent in self.agents.values()),
            "open_stores": len(self._pool),
            "sandbox_visits": self.launcher.visits,
            "sandbox_cpu_ms": self.launcher.cpu_ms,
            "sandbox_level": self.launcher.level.value,
            "sandbox_missing": sorted(self.launcher.missing),
        }

    async def stop(self) -> None:
        """Disconnect every wallet and close everything."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._lines is not None:
            await self._lines.close()
        for agent in self.agents.values():
            await agent.stop()
            await agent.store.close()
        if self._shelf is not None:
            self._shelf.close()
        await self.launcher.close()
        await self._transport.close()

    async def _create(self, name: str, record: Mapping[str, Any]) -> None:
        if self._shelf is not None:
            store: WalletStore = await self._shelf.create(name)
        else:
            store, _ = await vault.create(
                self._folder(name), rng=self._rng, host_key=self._key, pool=self._pool
            )
        async with store.transaction() as records:
            await credentials.save(records, record)
            if self._document is not None:
                await records.put(*server.RECORD, self._document)
            await journal.append(records, self._now(), Kind.CREATED)
        await self._adopt(name, store)

    async def _open(self, name: str) -> None:
        if self._shelf is not None:
            store: WalletStore = self._shelf.open(name)
        else:
            folder = self._folder(name)
            store = await vault.open_with(folder, SlotKind.HOST, self._key, now=self._now(), pool=self._pool)
        await self._adopt(name, store)

    async def _adopt(self, name: str, store: WalletStore) -> None:
        agent = WalletAgent(
            name=name,
            store=store,
            transport=self._transport,
            launcher=self.launcher,
            consent=Consent(self._rule),
            now=self._now,
            rng=self._rng,
            policy=self._policy,
            observer=self._observer,
            spy=partial(self.spy.vector, name) if self.spy is not None else None,
            lowest_sandbox=self._lowest_sandbox,
            remembered=self._once,
        )
        agent.round_session = partial(HostedRoundSession, self)
        if self._lines is not None:
            agent.session = self._lines.session(agent)
        await agent.load()
        self.agents[name] = agent

    def _folder(self, name: str) -> Path:
        return self.directory / WALLETS / name


def _open_stores() -> int:
    """How many stores may stay open: more than a round's visits, or they would close each other's all the time."""
    wanted = MOST_OPEN_STORES * FILES_PER_STORE + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(16, (wanted - OTHER_FILES) // FILES_PER_STORE)


def _host_key(path: Path, rng: Callable[[int], bytes]) -> Secret:
    """The host's key, made on first use."""
    if not path.exists():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(rng(32))
            out.flush()
            os.fsync(out.fileno())
    body = path.read_bytes()
    if len(body) != 32:
        raise StoreDamaged(f"The host key {path} is damaged. Restore it from your backup.")
    return Secret(body)


async def _each(names: Sequence[str], work: Callable[[str], Awaitable[Any]]) -> None:
    """Run `work` for every name, a few at a time; the first failure is raised after the others ended."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with gate:
            await work(name)

    results = await asyncio.gather(*(one(name) for name in names), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
