"""The wallet's encrypted store: a small interface, and its implementation on aries-askar over SQLite.

What may be relied on
* every value is encrypted at rest; names and categories too (Askar encrypts them deterministically). No tag is ever
  written: a range query on an encrypted tag silently returns wrong rows.
* one operation, or one transaction, at a time per store. A transaction is all or nothing and durable when it returns.
* `erase` makes removed records unreadable in the file itself: close, VACUUM, reopen on next use. Without it the
  ciphertext of a removed record stays in free pages. What the disk keeps below the file system is out of reach.

What must not be done: use after `fork()` (Askar's threads do not survive it: sandbox workers are started by exec), and
opening the file with another SQLite in this process while Askar has it open (POSIX locks are dropped at the first close).
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from aries_askar import AskarError, Store

from aggregation.wire.secret import Secret
from wallets.agent import keyfile
from wallets.agent.errors import StoreDamaged, StoreError, StoreExists, StoreMissing
from wallets.agent.in_use import SharedUse
from wallets.agent.keyfile import DATABASE, Argon2Cost, KeyFile, SlotKind

Value = dict[str, Any]
KEYS = "keys.json"
BUSY_SECONDS = 5.0
CLOSE_ATTEMPTS = 8


class Records(Protocol):
    """Reading and writing records of a category by exact name; values are JSON objects."""

    async def get(self, category: str, name: str) -> Value | None:
        """The record, or None."""

    async def list(self, category: str) -> dict[str, Value]:
        """All records of a category by name, in no promised order."""

    async def put(self, category: str, name: str, value: Value, *, exists: bool | None = None) -> None:
        """Insert or replace. A caller that has just looked may say whether it `exists` and saves a look."""

    async def remove(self, category: str, name: str) -> bool:
        """Remove; False when there was nothing."""


class WalletStore(Records, Protocol):
    """A wallet's store. Another implementation may take Askar's place behind these verbs."""

    def transaction(self) -> AbstractAsyncContextManager[Records]:
        """Several reads and writes as one durable step; an exception inside leaves nothing changed."""

    async def everything(self) -> dict[str, dict[str, Value]]:
        """Every record by category and name, each read and decrypted."""

    def revision(self, category: str) -> int | None:
        """A number that changes before any record of this category does; None where another process may change them."""

    async def erase(self) -> bool:
        """Overwrite what was removed; False when another process kept the file busy (call again later)."""

    async def close(self) -> None:
        """Close; nothing works afterwards."""


class StorePool:
    """Keeps at most `limit` stores open in this process; the least recently used idle one is closed first.

    An open store costs two threads, six descriptors and about 300 KiB; opening takes about 5 ms. A host of thousands
    of wallets therefore opens them when they are used.
    """

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._open: OrderedDict[AskarStore, None] = OrderedDict()

    def touch(self, store: AskarStore) -> None:
        """Note that a store is open and was used now."""
        self._open[store] = None
        self._open.move_to_end(store)

    def forget(self, store: AskarStore) -> None:
        """Note that a store is closed."""
        self._open.pop(store, None)

    async def trim(self) -> None:
        """Close idle stores until the limit holds."""
        if len(self._open) <= self._limit:
            return  # asked after every read
        for store in list(self._open):
            if len(self._open) <= self._limit:
                return
            if store in self._open and not store.busy:
                del self._open[store]  # counted out at once, so that two trims do not close twice as many
                await store.shut()

    def __len__(self) -> int:
        return len(self._open)


class AskarStore:
    """WalletStore on aries-askar 0.5 (SQLite, key method raw). Made by `create` or `open_*` below."""

    def __init__(self, path: Path, raw: Secret, pool: StorePool, *, shared: bool = True) -> None:
        self._path = path
        self._raw = raw
        self._pool = pool
        self._lock = asyncio.Lock()
        self._handle: Store | None = None
        # A session that stays open makes a read one call into Askar instead of three. Outside a transaction it sees every
        # commit at once, also another process's, so a permit deleted elsewhere is gone for the next look.
        self._reader: Any = None
        self._in_use = SharedUse(path.parent) if shared else None
        self._closed = False

    def __repr__(self) -> str:
        return f"AskarStore({'closed' if self._closed else 'open' if self._handle else 'idle'})"

    @property
    def busy(self) -> bool:
        """Whether an operation is running now."""
        return self._lock.locked()

    async def get(self, category: str, name: str) -> Value | None:
        async with self._reading() as records:
            return await records.get(category, name)

    async def list(self, category: str) -> dict[str, Value]:
        async with self._reading() as records:
            return await records.list(category)

    async def put(self, category: str, name: str, value: Value, *, exists: bool | None = None) -> None:
        async with self.transaction() as records:
            await records.put(category, name, value, exists=exists)

    async def remove(self, category: str, name: str) -> bool:
        async with self.transaction() as records:
            return await records.remove(category, name)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Records]:
        async with self._lock:
            handle = await self._opened()
            session = await handle.transaction()
            try:
                yield _AskarRecords(session)
            except BaseException:
                await session.rollback()
                raise
            await session.commit()
        await self._pool.trim()

    async def everything(self) -> dict[str, dict[str, Value]]:
        """Every record by category and name, for a backup or a new database."""
        async with self._lock:
            handle = await self._opened()
            found: dict[str, dict[str, Value]] = {}
            async for entry in handle.scan():
                found.setdefault(entry.category, {})[entry.name] = json.loads(entry.value)
            return found

    async def fill(self, records: Mapping[str, Mapping[str, Value]]) -> None:
        """Write many records into an empty store as one step."""
        async with self.transaction() as session:
            for category, named in records.items():
                for name, value in named.items():
                    await session.put(category, name, value, exists=False)

    async def erase(self) -> bool:
        async with self._lock:
            await self._shut()
            return await asyncio.to_thread(_vacuum, self._path)

    def revision(self, category: str) -> int | None:
        return None  # the command line may open this wallet beside its agent

    async def shut(self) -> None:
        """Close the file for now; the next operation opens it again."""
        async with self._lock:
            await self._shut()

    async def close(self) -> None:
        async with self._lock:
            self._closed = True
            await self._shut()
            self._raw.erase()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[_AskarRecords]:
        async with self._lock:
            await self._opened()
            assert self._reader is not None
            yield _AskarRecords(self._reader)
        await self._pool.trim()

    async def _opened(self) -> Store:
        if self._closed:
            raise StoreError("This wallet is closed. Unlock it again.", code="store_closed")
        if self._handle is None:
            if self._in_use is not None:
                self._in_use.take()
            self._handle = await _open_askar(self._path, self._raw)
            self._reader = await self._handle.session()
        self._pool.touch(self)
        return self._handle

    async def _shut(self) -> None:
        if self._handle is not None:
            handle, self._handle = self._handle, None
            reader, self._reader = self._reader, None
            # Shielded: a close that was cancelled half-way would be repeated by Askar's finalizer on a dead handle.
            await asyncio.shield(_close(reader, handle))
        if self._in_use is not None:
            self._in_use.give_back()
        self._pool.forget(self)


class _AskarRecords:
    """Records over one Askar session. Never keeps an Askar entry: its repr prints the decrypted value."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def get(self, category: str, name: str) -> Value | None:
        entry = await self._session.fetch(category, name)
        return None if entry is None else json.loads(entry.value)

    async def list(self, category: str) -> dict[str, Value]:
        entries = await self._session.fetch_all(category)
        return {entry.name: json.loads(entry.value) for entry in entries}

    async def put(self, category: str, name: str, value: Value, *, exists: bool | None = None) -> None:
        # Askar keeps one last error per process, so the code of an expected failure is not reliable when other stores work
        # at the same time: look first instead of asking forgiveness.
        body = json.dumps(value, separators=(",", ":"))
        if exists is None:
            exists = await self._session.fetch(category, name) is not None
        await (self._session.replace if exists else self._session.insert)(category, name, body)

    async def remove(self, category: str, name: str) -> bool:
        if await self._session.fetch(category, name) is None:
            return False
        await self._session.remove(category, name)
        return True


async def create(
    directory: Path,
    *,
    rng: Callable[[int], bytes],
    passphrase: Secret | None = None,
    host_key: Secret | None = None,
    cost: Argon2Cost | None = None,
    pool: StorePool | None = None,
) -> tuple[AskarStore, str | None]:
    """A new, empty wallet in `directory`; returns it and, with a passphrase, the recovery code to write down.

    A host gives `host_key` (32 random bytes of its own key file) instead and pays no Argon2id per wallet.
    Raises StoreExists.
    """
    if (passphrase is None) == (host_key is None):
        raise StoreError("Give a passphrase or a host key, not both.", code="store_secret")
    if (directory / KEYS).exists() or (directory / DATABASE).exists():
        raise StoreExists(f"There is already a wallet in {directory}. Choose another folder.")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    raw = new_raw_key()
    cost = cost or Argon2Cost()
    code: str | None = None
    slots: tuple[keyfile.Slot, ...]
    if host_key is not None:
        slots = (keyfile.make_slot(SlotKind.HOST, host_key, raw, rng=rng, cost=cost),)
    else:
        assert passphrase is not None
        code = keyfile.new_recovery_code(rng)
        spoken = Secret(code.encode())
        slots = (
            keyfile.make_slot(SlotKind.PASSPHRASE, passphrase, raw, rng=rng, cost=cost),
            keyfile.make_slot(SlotKind.RECOVERY, spoken, raw, rng=rng, cost=cost),
        )
    await provision(directory / DATABASE, raw)
    # The key file comes last: a folder without it is not yet a wallet, so a crash before this line loses nothing.
    keyfile.write(directory / KEYS, KeyFile(slots=slots))
    return AskarStore(directory / DATABASE, raw, pool if pool is not None else StorePool()), code


async def open_with(
    directory: Path, kind: SlotKind, secret: Secret, *, now: int, pool: StorePool | None = None
) -> AskarStore:
    """Unlock a wallet through one slot. Raises StoreMissing, WrongPassphrase, LockedOut, StoreDamaged."""
    raw = keyfile.open_guarded(directory / KEYS, kind, secret, now=now)
    path = directory / keyfile.read(directory / KEYS).database
    if not path.exists():
        raise StoreMissing(f"The database of the wallet in {directory} is gone. Restore it from your backup.")
    return AskarStore(path, raw, pool if pool is not None else StorePool())


async def provision(path: Path, raw: Secret) -> None:
    """Make an empty database at `path`, readable by its owner alone."""
    with _private_files():
        handle = await Store.provision(_uri(path), "raw", raw.reveal().decode())
        await handle.close()
    path.chmod(0o600)


def new_raw_key() -> Secret:
    """A fresh key for a database; Askar draws it."""
    return Secret(Store.generate_raw_key().encode())


def _uri(path: Path) -> str:
    return f"sqlite://{path}?max_connections=2"  # one for reading, one for a transaction


async def _open_askar(path: Path, raw: Secret) -> Store:
    if not path.exists():
        raise StoreMissing(f"The database {path} is gone. Restore it from your backup.")
    try:
        with _private_files():
            return await Store.open(_uri(path), "raw", raw.reveal().decode())
    except AskarError as error:
        raise StoreDamaged(
            f"The database {path} does not open with its key. Restore it from your backup."
        ) from error


async def _close(reader: Any, handle: Store) -> None:
    """A read that was cancelled may still run in Askar's own thread for a moment, and its handle cannot be closed then."""
    for attempt in range(CLOSE_ATTEMPTS):
        try:
            await reader.close()
            break
        except AskarError:
            if attempt == CLOSE_ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.02 * 2**attempt)
    await handle.close()


@contextmanager
def _private_files() -> Any:
    previous = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(previous)


_VACUUM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=float(sys.argv[2]), isolation_level=None)
connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
connection.execute("VACUUM")
connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
connection.close()
"""


def _vacuum(path: Path) -> bool:
    """Rewrite the database without its free pages; False when it was busy.

    In a process of its own: file locks do not hold between two SQLite libraries of one process, and a connection of Askar's that is
    still closing takes away the shared memory the other one has mapped (SIGBUS).
    """
    command = [sys.executable, "-I", "-S", "-c", _VACUUM, str(path), str(BUSY_SECONDS)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - our own words
