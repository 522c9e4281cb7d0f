"""Where the chain lies: one SQLite file with the EVM's key-value state, and tables that make lookups quick.

A mined block is one SQLite transaction: state, transaction, receipt and logs are all there or none of it. A `kill -9` therefore
loses at most a transaction that was never acknowledged.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from eth.db.backends.base import BaseDB

_SCHEMA = """
create table if not exists state (key blob primary key, value blob not null) without rowid;
create table if not exists tx (hash text primary key, block integer not null, body text not null, receipt text not null);
create table if not exists log (block integer not null, position integer not null, address text not null,
  topic0 text, topic1 text, topic2 text, topic3 text, body text not null, primary key (block, position)) without rowid;
create index if not exists log_address on log (address, block);
"""


class ChainStore(BaseDB):  # type: ignore[misc]
    """The EVM's database interface over SQLite, plus transactions, receipts and logs."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._sql.execute("pragma journal_mode=wal")
        self._sql.execute("pragma synchronous=normal")
        self._sql.executescript(_SCHEMA)

    def __getitem__(self, key: bytes) -> bytes:
        row = self._sql.execute("select value from state where key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return bytes(row[0])

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._sql.execute("insert or replace into state values (?, ?)", (key, value))

    def __delitem__(self, key: bytes) -> None:
        self._sql.execute("delete from state where key = ?", (key,))

    def _exists(self, key: bytes) -> bool:
        return self._sql.execute("select 1 from state where key = ?", (key,)).fetchone() is not None

    def begin(self) -> None:
        self._sql.execute("begin immediate")

    def commit(self) -> None:
        self._sql.execute("commit")

    def rollback(self) -> None:
        self._sql.execute("rollback")

    def add_transaction(self, body: dict[str, Any], receipt: dict[str, Any]) -> None:
        number = int(receipt["blockNumber"], 16)
        self._sql.execute(
            "insert into tx values (?, ?, ?, ?)",
            (body["hash"], number, json.dumps(body), json.dumps(receipt)),
        )
        for position, entry in enumerate(receipt["logs"]):
            topics = [*entry["topics"], None, None, None, None][:4]
            self._sql.execute(
                "insert into log values (?, ?, ?, ?, ?, ?, ?, ?)",
                (number, position, entry["address"].lower(), *topics, json.dumps(entry)),
            )

    def transaction(self, digest: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """(transaction, receipt) as JSON-RPC shows them."""
        row = self._sql.execute("select body, receipt from tx where hash = ?", (digest,)).fetchone()
        return (json.loads(row[0]), json.loads(row[1])) if row else None

    def block_hashes(self, number: int) -> list[str]:
        return [row[0] for row in self._sql.execute("select hash from tx where block = ?", (number,))]

    def logs(
        self, first: int, last: int, addresses: list[str], topics: list[list[str] | None]
    ) -> list[dict[str, Any]]:
        clauses, values = ["block between ? and ?"], [first, last]
        wanted: list[tuple[str, list[str] | None]] = [("address", addresses or None)]
        wanted += [(f"topic{i}", options) for i, options in enumerate(topics[:4])]
        for column, options in wanted:
            if options is not None:
                clauses.append(f"{column} in ({', '.join('?' * len(options))})")
                values += [option.lower() for option in options]  # type: ignore[misc]
        query = f"select body from log where {' and '.join(clauses)} order by block, position"  # noqa: S608 - fixed columns
        return [json.loads(row[0]) for row in self._sql.execute(query, values)]

    def close(self) -> None:
        self._sql.close()
