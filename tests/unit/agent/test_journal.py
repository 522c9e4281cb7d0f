"""The holder's log: chained, filterable, without values, and honest about tampering."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict
from pathlib import Path

import pytest

from aggregation.wire.secret import Secret
from wallets.agent import journal, vault
from wallets.agent.journal import Journal, Kind


@pytest.fixture
async def store(tmp_path: Path):
    made, _ = await vault.create(tmp_path / "w", rng=secrets.token_bytes, host_key=Secret(bytes(range(32))))
    yield made
    await made.close()


async def filled(store: vault.AskarStore) -> Journal:
    log = Journal(store)
    await log.append(100, Kind.CREATED)
    await log.append(200, Kind.VISIT, collective_id="a", round=1, amount="5")
    await log.append(300, Kind.REFUSED, collective_id="b", code="no_permit", sentence="No.")
    await log.append(400, Kind.VISIT, collective_id="b", round=2, amount="5")
    return log


async def test_entries_keep_their_order_and_filter(store: vault.AskarStore) -> None:
    log = await filled(store)
    assert [e.seq for e in await log.entries()] == [0, 1, 2, 3]
    assert [e.round for e in await log.entries(kinds=[Kind.VISIT])] == [1, 2]
    assert [e.kind for e in await log.entries(collective_id="b", newest_first=True)] == ["visit", "refused"]
    assert [e.at for e in await log.entries(since=300)] == [300, 400]
    assert await log.verify() is None


@pytest.mark.parametrize(
    "field, value", [("amount", "6"), ("at", 201), ("sentence", "x"), ("hash", "00" * 32)]
)
async def test_a_changed_entry_breaks_the_chain_where_it_was_changed(
    store: vault.AskarStore, field: str, value: object
) -> None:
    log = await filled(store)
    entry = {**asdict((await log.entries())[1]), field: value}
    await store.put(journal.CATEGORY, f"{1:012d}", entry)
    assert await log.verify() == 1


async def test_a_dropped_or_cut_off_entry_is_noticed(store: vault.AskarStore) -> None:
    log = await filled(store)
    await store.remove(journal.CATEGORY, f"{3:012d}")
    assert await log.verify() == 3
    await store.remove(journal.CATEGORY, f"{1:012d}")
    assert await log.verify() == 1


async def test_a_deleted_entry_keeps_its_place_and_the_chain(store: vault.AskarStore) -> None:
    log = await filled(store)
    assert await log.delete(2)
    assert not await log.delete(99)
    gone = (await log.entries())[2]
    assert (gone.kind, gone.sentence, gone.code) == ("deleted", "", "")
    assert await log.verify() is None
    await log.append(500, Kind.PAIRED)
    assert await log.verify() is None


async def test_exports_hold_every_entry(store: vault.AskarStore) -> None:
    entries = await (await filled(store)).entries()
    assert [line["seq"] for line in json.loads(journal.export_json(entries))] == [0, 1, 2, 3]
    lines = journal.export_csv(entries).splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("seq,at,kind")
