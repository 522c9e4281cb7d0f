"""The holder's own log: what was asked, what was answered, what was paid. Hash-chained, and without any value.

hash(n) = SHA-256(hash(n−1) ‖ cbor(entry n)); the first previous hash is 32 zero bytes. An entry the holder deletes keeps
its place and its hash, so the chain still proves that nothing else was changed.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from hashlib import sha256

from aggregation.wire import cbor
from wallets.agent.vault import Records, WalletStore

CATEGORY = "journal"
HEAD = ("meta", "journal-head")
GENESIS = bytes(32)
FORMULA = re.compile(r'(^|[;\t\r\n])([ "]*)(?=[=+\-@＝＋－＠])')
"""Before what a spreadsheet computes instead of showing it: where a cell begins, also for one that expects another separator."""


class Kind(StrEnum):
    """What an entry is about."""

    CREATED = "created"
    RESTORED = "restored"
    SECURITY = "security"
    DATA = "data"
    PAIRED = "paired"
    OFFER = "offer"
    SUBSCRIBED = "subscribed"
    NOTICE = "notice"
    ENROLLED = "enrolled"
    ACCEPTED = "accepted"
    VISIT = "visit"
    OUTCOME = "outcome"
    REFUSED = "refused"
    REVOKED = "revoked"
    PAYOUT = "payout"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the journal. `code` is a fixed word, `sentence` is for the holder; neither holds a value."""

    seq: int
    at: int
    kind: str
    collective_id: str = ""
    job: str = ""
    round: int = 0
    code: str = ""
    sentence: str = ""
    amount: str = "0"
    deleted: bool = False
    hash: str = ""

    def body(self) -> bytes:
        """What the hash covers."""
        covered = self.record()
        del covered["hash"], covered["deleted"]
        return cbor.encode(covered)

    def record(self) -> dict[str, str | int]:
        """As it is stored. Every field is a plain value, so this is `asdict` without its deep copies."""
        return dict(vars(self))


class Journal:
    """Append, read and check the log inside a wallet's store."""

    def __init__(self, store: WalletStore) -> None:
        self._store = store

    async def append(self, at: int, kind: Kind, **what: str | int) -> Entry:
        """Add one entry in a transaction of its own."""
        async with self._store.transaction() as records:
            return await append(records, at, kind, **what)

    async def entries(
        self,
        *,
        kinds: Iterable[str] = (),
        collective_id: str = "",
        since: int = 0,
        newest_first: bool = False,
    ) -> list[Entry]:
        """Entries in order, filtered by kind, collective and time."""
        wanted = set(kinds)
        found = [
            entry
            for entry in await self._all()
            if (not wanted or entry.kind in wanted)
            and (not collective_id or entry.collective_id == collective_id)
            and entry.at >= since
        ]
        return found[::-1] if newest_first else found

    async def verify(self) -> int | None:
        """The sequence number of the first entry that does not fit the chain; None when all fit."""
        previous = GENESIS
        everything = await self._all()
        for position, entry in enumerate(everything):
            fits = entry.deleted or sha256(previous + entry.body()).hexdigest() == entry.hash
            if entry.seq != position or not fits:
                return position
            previous = bytes.fromhex(entry.hash)
        head = await self._store.get(*HEAD)
        kept = (head or {"seq": 0, "hash": GENESIS.hex()})["hash"]
        return None if kept == previous.hex() else len(everything)

    async def delete(self, sequence: int) -> bool:
        """Blank one entry at the holder's wish; its place in the chain remains."""
        async with self._store.transaction() as records:
            name = _name(sequence)
            stored = await records.get(CATEGORY, name)
            if stored is None:
                return False
            blank = Entry(seq=sequence, at=0, kind="deleted", deleted=True, hash=stored["hash"])
            await records.put(CATEGORY, name, blank.record())
        return True

    async def _all(self) -> list[Entry]:
        stored = await self._store.list(CATEGORY)
        return [Entry(**stored[name]) for name in sorted(stored)]


async def append(records: Records, at: int, kind: Kind, **what: str | int) -> Entry:
    """Add one entry inside a transaction that changes other things too."""
    known = await records.get(*HEAD)
    head = known or {"seq": 0, "hash": GENESIS.hex()}
    draft = Entry(seq=head["seq"], at=at, kind=kind.value, **what)  # type: ignore[arg-type]
    digest = sha256(bytes.fromhex(head["hash"]) + draft.body()).hexdigest()
    entry = replace(draft, hash=digest)
    await records.put(CATEGORY, _name(entry.seq), entry.record(), exists=False)
    await records.put(*HEAD, {"seq": entry.seq + 1, "hash": digest}, exists=known is not None)
    return entry


def export_json(entries: Sequence[Entry]) -> str:
    """The entries as a JSON array."""
    return json.dumps([entry.record() for entry in entries], indent=1)


def export_csv(entries: Sequence[Entry]) -> str:
    """The entries as CSV with a header line. An apostrophe stands before what a spreadsheet would take for a formula.

    A name or a reason in an entry may be a stranger's text. Where `;` is usual, a spreadsheet splits it there whatever the quotes say.
    """
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(field.name for field in fields(Entry))
    writer.writerows([_cell(value) for value in entry.record().values()] for entry in entries)
    return out.getvalue()


def _cell(value: str | int) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return FORMULA.sub(r"\1\2'", text)


def _name(sequence: int) -> str:
    return f"{sequence:012d}"
