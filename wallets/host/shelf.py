"""Encrypted stores of many wallets in one SQLite file: `WalletStore` for a host that keeps thousands.

A wallet on a machine of its own keeps an Askar store (`wallets.agent.vault`). For a host of a hundred thousand that is as many files, and each
read or write crosses three threads: measured, two thirds of what a visit costs. A shelf keeps the same promises.

* Every wallet has a random key of its own, and everything it keeps is encrypted under it (AES-256-GCM, bound to wallet and place);
  categories and names are stored as keyed hashes. The host's key opens the wallets' keys, as it opens the slot of an Askar wallet's key file.
* One operation, or one transaction, at a time per wallet. A transaction is all or nothing and on the disk when it returns:
  a thread of its own writes what has gathered meanwhile and syncs once for all of it.
* `erase` leaves nothing of removed records in the file: freed space is overwritten, and the log is folded into the file.

One process has a shelf for itself; there is no second door as an Askar store has for the command line.
"""

from __future__ import annotations

import asyncio
import fcntl
import hmac
import json
import os
import queue
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from aggregation.wire.secret import Secret
from wallets.agent.errors import StoreDamaged, StoreError, StoreExists, StoreMissing
from wallets.agent.vault import Records, Value

NAME, LOCK = "shelf.db", "shelf.lock"
KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
MOST_TOGETHER = 500
PLACES_KEPT = 1 << 14
_LABEL_KEY, _LABEL_NAMES = b"cssi/v1/shelf-key", b"cssi/v1/shelf-names"
_TABLES = """
create table if not exists wallet (id integer primary key, name text not null unique, key blob not null);
create table if not exists record (
  wallet integer not null, category blob not null, name blob not null, value blob not null,
  primary key (wallet, category, name)
) without rowid;
"""
_PUT = "insert into record values (?, ?, ?, ?) on conflict do update set value = excluded.value"
_REMOVE = "delete from record where wallet = ? and category = ? and name = ?"
Place = tuple[bytes, bytes]
Statement = tuple[str, tuple[object, ...]]


@dataclass(eq=False)
class _Work:
    """Statements of one transaction, and who waits for it to be on the disk."""

    statements: list[Statement]
    done: Callable[[Exception | None], None]


class Shelf:
    """One file of wallets, held by this process alone.

    Raises:
        StoreError: `store_busy`, another process has it.
    """

    def __init__(self, directory: Path, host_key: Secret, rng: Callable[[int], bytes]) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._key = Secret(hmac.digest(host_key.reveal(), _LABEL_KEY, "sha256"))
        self._rng = rng
        self._lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StoreError(
                "Another process uses these wallets now. Stop it and try again.", code="store_busy"
            ) from None
        path = directory / NAME
        path.touch(mode=0o600)
        self._writer = _Writer(path)
        self._reader = _connect(path)
        self._places: OrderedDict[tuple[int, str, str], Place] = OrderedDict()

    def names(self) -> list[str]:
        """Every wallet of this shelf."""
        return [name for (name,) in self._reader.execute("select name from wallet order by name")]

    async def create(self, name: str) -> ShelfStore:
        """A new, empty wallet. Raises StoreExists."""
        raw = self._rng(KEY_BYTES)
        sealed = _seal(self._key.reveal(), self._rng, raw, name.encode())
        try:
            await self.write([("insert into wallet (name, key) values (?, ?)", (name, sealed))])
        except sqlite3.IntegrityError:
            raise StoreExists(f"There is already a wallet {name} on this shelf.") from None
        return self.open(name)

    def open(self, name: str) -> ShelfStore:
        """The store of a wallet. Raises StoreMissing, or StoreDamaged when the host's key does not open it."""
        found = self._reader.execute("select id, key from wallet where name = ?", (name,)).fetchone()
        if found is None:
            raise StoreMissing(f"This shelf has no wallet {name}.")
        return ShelfStore(
            self, found[0], Secret(_unseal(self._key.reveal(), found[1], name.encode())), self._rng
        )

    def place(self, wallet: int, raw: bytes, category: str, name: str) -> Place:
        """Under which keyed hashes a record is stored. A visit asks for the same few again and again; they lie open in the file, so
        they may be remembered."""
        asked = (wallet, category, name)
        found = self._places.get(asked)
        if found is None:
            whole = category.encode() + b"\0" + name.encode()
            found = self._places[asked] = (_tag(raw, category.encode()), _tag(raw, whole))
            if len(self._places) > PLACES_KEPT:
                self._places.popitem(last=False)
        return found

    def read(self, sql: str, values: tuple[object, ...]) -> list[tuple[bytes, ...]]:
        """Rows as of the last transaction on the disk."""
        return self._reader.execute(sql, values).fetchall()

    async def write(self, statements: list[Statement]) -> None:
        """Return when all of it is on the disk; raise what the database raised, and then none of it is."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def settle(error: Exception | None) -> None:
            if not future.done():
                future.set_exception(error) if error is not None else future.set_result(None)

        def done(error: Exception | None) -> None:
            with suppress(RuntimeError):  # nobody is left to hear it
                loop.call_soon_threadsafe(settle, error)

        self._writer.put(_Work(statements, done))
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError:
            # It is written all the same: whoever holds the wallet's lock keeps it until then, or the next would read what was before.
            await asyncio.wait({future})
            raise

    async def erase(self) -> bool:
        """Fold the log into the file; False when a reader kept it busy."""
        return await asyncio.to_thread(self._writer.fold)

    def close(self) -> None:
        """Write what waits, close the file and let others have it."""
        self._writer.end()
        self._reader.close()
        self._key.erase()
        os.close(self._lock)


class ShelfStore:
    """One wallet's store (`wallets.agent.vault.WalletStore`). Made by `Shelf.create` and `Shelf.open`."""

    def __init__(self, shelf: Shelf, ident: int, raw: Secret, rng: Callable[[int], bytes]) -> None:
        self._shelf, self._id, self._raw, self._rng = shelf, ident, raw, rng
        self._lock = asyncio.Lock()
        self._revisions: dict[str, int] = {}
        self._closed = False

    def __repr__(self) -> str:
        return f"ShelfStore({'closed' if self._closed else 'open'})"

    async def get(self, category: str, name: str) -> Value | None:
        async with self._lock:
            return self._transaction().look(category, name)

    async def list(self, category: str) -> dict[str, Value]:
        async with self._lock:
            return await self._transaction().list(category)

    async def put(self, category: str, name: str, value: Value, *, exists: bool | None = None) -> None:
        async with self.transaction() as records:
            await records.put(category, name, value, exists=exists)

    async def remove(self, category: str, name: str) -> bool:
        async with self.transaction() as records:
            return await records.remove(category, name)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Records]:
        async with self._lock:
            records = self._transaction()
            yield records
            if records.statements:
                for category in records.categories:
                    self._revisions[category] = self._revisions.get(category, 0) + 1
                await self._shelf.write(list(records.statements.values()))

    async def everything(self) -> dict[str, dict[str, Value]]:
        """Every record by category and name, for a backup."""
        async with self._lock:
            return self._transaction().everything()

    def revision(self, category: str) -> int | None:
        return self._revisions.get(category, 0)  # a shelf belongs to this process alone

    async def erase(self) -> bool:
        async with self._lock:
            return await self._shelf.erase()

    async def close(self) -> None:
        async with self._lock:
            self._closed = True
            self._raw.erase()

    def _transaction(self) -> _ShelfRecords:
        if self._closed:
            raise StoreError("This wallet is closed. Unlock it again.", code="store_closed")
        return _ShelfRecords(self._shelf, self._id, self._raw.reveal(), self._rng)


@dataclass(eq=False)
class _ShelfRecords:
    """What one transaction reads, and will write when it ends."""

    _shelf: Shelf
    _id: int
    _raw: bytes = field(repr=False)
    _rng: Callable[[int], bytes] = field(repr=False)
    statements: dict[Place, Statement] = field(default_factory=dict, repr=False)
    _changed: dict[tuple[str, str], Value | None] = field(default_factory=dict, repr=False)

    @property
    def categories(self) -> set[str]:
        """Those of which something was changed."""
        return {category for category, _ in self._changed}

    async def get(self, category: str, name: str) -> Value | None:
        return self.look(category, name)

    def look(self, category: str, name: str) -> Value | None:
        if (category, name) in self._changed:
            value = self._changed[category, name]
            return None if value is None else dict(json.loads(json.dumps(value)))
        place = self._place(category, name)
        sql = "select value from record where wallet = ? and category = ? and name = ?"
        found = self._shelf.read(sql, (self._id, *place))
        return self._open(found[0][0], place)[2] if found else None

    async def list(self, category: str) -> dict[str, Value]:
        tag = _tag(self._raw, category.encode())
        rows = self._shelf.read(
            "select name, value from record where wallet = ? and category = ?", (self._id, tag)
        )
        return self._merged((self._open(value, (tag, name)) for name, value in rows), category).get(
            category, {}
        )

    async def put(self, category: str, name: str, value: Value, *, exists: bool | None = None) -> None:
        place = self._place(category, name)
        plain = json.dumps([category, name, value], separators=(",", ":")).encode()
        sealed = _seal(self._raw, self._rng, plain, self._bound(place))
        self.statements[place] = (_PUT, (self._id, *place, sealed))
        self._changed[category, name] = json.loads(plain)[2]

    async def remove(self, category: str, name: str) -> bool:
        if self.look(category, name) is None:
            return False
        place = self._place(category, name)
        self.statements[place] = (_REMOVE, (self._id, *place))
        self._changed[category, name] = None
        return True

    def everything(self) -> dict[str, dict[str, Value]]:
        rows = self._shelf.read("select category, name, value from record where wallet = ?", (self._id,))
        return self._merged(self._open(value, (category, name)) for category, name, value in rows)

    def _merged(
        self, rows: Iterable[tuple[str, str, Value]], category: str | None = None
    ) -> dict[str, dict[str, Value]]:
        """Stored records with this transaction's changes over them."""
        found: dict[str, dict[str, Value]] = {}
        for of, name, value in rows:
            found.setdefault(of, {})[name] = value
        for (of, name), changed in self._changed.items():
            if category in (None, of):
                found.setdefault(of, {}).pop(name, None)
                if changed is not None:
                    found[of][name] = changed
        return found

    def _place(self, category: str, name: str) -> Place:
        return self._shelf.place(self._id, self._raw, category, name)

    def _bound(self, place: Place) -> bytes:
        return self._id.to_bytes(8, "big") + place[0] + place[1]

    def _open(self, sealed: bytes, place: Place) -> tuple[str, str, Value]:
        category, name, value = json.loads(_unseal(self._raw, sealed, self._bound(place)))
        return category, name, value


class _Writer:
    """The one thread that writes: whatever has gathered goes into one transaction of the database and one sync."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._folding = threading.Lock()
        self._database = _connect(path, writes=True)
        self._thread = threading.Thread(target=self._run, name="shelf", daemon=True)
        self._thread.start()

    def put(self, work: _Work) -> None:
        self._waiting.put(work)

    def fold(self) -> bool:
        with self._folding:
            busy, *_ = self._database.execute("pragma wal_checkpoint(truncate)").fetchone()
        return not busy

    def end(self) -> None:
        self._waiting.put(None)
        self._thread.join()
        self.fold()
        self._database.close()

    def _run(self) -> None:
        ended = False
        while not ended:
            gathered = [self._waiting.get()]
            while len(gathered) < MOST_TOGETHER and not self._waiting.empty():
                gathered.append(self._waiting.get())
            ended = None in gathered
            works = [work for work in gathered if work is not None]
            with self._folding:
                self._write(works)

    def _write(self, works: list[_Work]) -> None:
        try:
            self._apply(works)
        except sqlite3.Error:
            for work in works:  # one of them is at fault: the others must not suffer for it
                try:
                    self._apply([work])
                except sqlite3.Error as error:
                    work.done(error)
                else:
                    work.done(None)
            return
        for work in works:
            work.done(None)

    def _apply(self, works: list[_Work]) -> None:
        self._database.execute("begin immediate")
        try:
            for work in works:
                for sql, values in work.statements:
                    self._database.execute(sql, values)
            self._database.execute("commit")
        except BaseException:
            self._database.execute("rollback")
            raise


def _connect(path: Path, *, writes: bool = False) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=20)
    database.execute("pragma journal_mode = wal")
    if writes:
        database.execute("pragma synchronous = full")
        database.execute("pragma secure_delete = on")
        database.executescript(_TABLES)
    return database


def _tag(raw: bytes, text: bytes) -> bytes:
    return hmac.digest(raw, _LABEL_NAMES + text, "sha256")[:TAG_BYTES]


def _seal(key: bytes, rng: Callable[[int], bytes], plain: bytes, bound: bytes) -> bytes:
    nonce = rng(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound)


def _unseal(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except InvalidTag:
        raise StoreDamaged(
            "A record of this wallet does not open with its key. Restore it from your backup."
        ) from None
