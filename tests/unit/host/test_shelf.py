"""Stores of many wallets in one file keep what one wallet's own store promises."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from aggregation.wire.secret import Secret
from wallets.agent.errors import StoreDamaged, StoreError, StoreExists, StoreMissing
from wallets.host import shelf as module
from wallets.host.shelf import NAME, Shelf

HOST_KEY = bytes(range(32))
ROOT = Path(__file__).resolve().parents[3]


def opened(folder: Path, key: bytes = HOST_KEY) -> Shelf:
    return Shelf(folder, Secret(key), os.urandom)


@pytest_asyncio.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    made = opened(tmp_path)
    yield made
    made.close()


async def test_records_are_read_listed_replaced_and_removed(shelf: Shelf) -> None:
    store = await shelf.create("anna")
    assert await store.get("a", "x") is None
    await store.put("a", "x", {"n": 1})
    await store.put("a", "y", {"n": 2})
    await store.put("b", "x", {"n": 3})
    await store.put("a", "x", {"n": 4}, exists=True)
    assert await store.list("a") == {"x": {"n": 4}, "y": {"n": 2}}
    assert await store.everything() == {"a": {"x": {"n": 4}, "y": {"n": 2}}, "b": {"x": {"n": 3}}}
    assert await store.remove("a", "y")
    assert not await store.remove("a", "y")
    assert await store.list("a") == {"x": {"n": 4}}


async def test_a_transaction_sees_its_own_changes_and_leaves_nothing_when_it_fails(shelf: Shelf) -> None:
    store = await shelf.create("anna")
    await store.put("a", "kept", {"n": 1})

    async def fail() -> None:
        async with store.transaction() as records:
            await records.put("a", "new", {"n": 2})
            await records.remove("a", "kept")
            assert await records.get("a", "kept") is None
            assert await records.list("a") == {"new": {"n": 2}}
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await store.list("a") == {"kept": {"n": 1}}


async def test_transactions_of_one_wallet_wait_for_each_other_also_for_a_cancelled_one(shelf: Shelf) -> None:
    store = await shelf.create("anna")

    async def count() -> None:
        async with store.transaction() as records:
            before = await records.get("a", "count") or {"n": 0}
            await asyncio.sleep(0)
            await records.put("a", "count", {"n": before["n"] + 1})

    await asyncio.gather(*(count() for _ in range(20)))
    task = asyncio.ensure_future(count())
    while not shelf._writer._waiting.empty() or not task.done():
        await asyncio.sleep(0)
        task.cancel()
    seen = (await store.get("a", "count") or {})["n"]
    await count()
    assert (await store.get("a", "count") or {})["n"] == seen + 1


async def test_wallets_do_not_see_each_other_and_nothing_readable_is_in_the_file(
    shelf: Shelf, tmp_path: Path
) -> None:
    anna, berta = await shelf.create("anna"), await shelf.create("berta")
    await anna.put("credential", "diagnosis", {"secret": "influenza"})
    assert await berta.everything() == {}
    await shelf.erase()
    body = b"".join(path.read_bytes() for path in tmp_path.glob(f"{NAME}*"))
    for word in (b"influenza", b"diagnosis", b"credential"):
        assert word not in body
    with sqlite3.connect(
        tmp_path / NAME
    ) as database:  # whoever can write the file cannot move a record to another wallet
        database.execute("update record set wallet = 2")
    with pytest.raises(StoreDamaged):
        await berta.everything()


async def test_what_was_removed_is_gone_from_the_file(shelf: Shelf, tmp_path: Path) -> None:
    store = await shelf.create("anna")
    await store.put("a", "x", {"n": "y" * 50})
    ((before,),) = shelf.read("select value from record", ())
    await store.remove("a", "x")
    assert await store.erase()
    assert before not in b"".join(path.read_bytes() for path in tmp_path.glob(f"{NAME}*"))


async def test_it_opens_again_with_its_own_key_only(tmp_path: Path) -> None:
    first = opened(tmp_path)
    await (await first.create("anna")).put("a", "x", {"n": 1})
    with pytest.raises(StoreExists):
        await first.create("anna")
    with pytest.raises(StoreError, match="Another process"):
        opened(tmp_path)
    first.close()
    stranger = opened(tmp_path, bytes(32))
    with pytest.raises(StoreDamaged):
        stranger.open("anna")
    stranger.close()
    again = opened(tmp_path)
    assert again.names() == ["anna"]
    store = again.open("anna")
    assert await store.get("a", "x") == {"n": 1}
    with pytest.raises(StoreMissing):
        again.open("berta")
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.get("a", "x")
    again.close()


async def test_a_failing_transaction_fails_alone_among_those_written_together(shelf: Shelf) -> None:
    await shelf.create("anna")
    with shelf._writer._folding:  # so that all of them gather
        together = [asyncio.ensure_future(shelf.create(name)) for name in ("berta", "anna", "clara")]
        await asyncio.sleep(0.05)
    found = await asyncio.gather(*together, return_exceptions=True)
    assert [isinstance(one, StoreExists) for one in found] == [False, True, False]
    assert shelf.names() == ["anna", "berta", "clara"]


KILLED = """
import asyncio, os, sys
from pathlib import Path
from aggregation.wire.secret import Secret
from wallets.host.shelf import Shelf
async def main():
    shelf = Shelf(Path(sys.argv[1]), Secret(bytes(range(32))), os.urandom)
    store = await shelf.create("anna")
    await store.put("revealed", "round 1", {"at": 1})
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""


async def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -9
    again = opened(tmp_path)
    assert await again.open("anna").get("revealed", "round 1") == {"at": 1}
    again.close()


def test_every_commit_is_synced(tmp_path: Path) -> None:
    database = module._connect(tmp_path / "x.db", writes=True)
    assert database.execute("pragma synchronous").fetchone() == (2,)
    assert database.execute("pragma secure_delete").fetchone() == (1,)
    assert database.execute("pragma journal_mode").fetchone() == ("wal",)
    database.close()


async def test_a_revision_changes_with_its_category_and_before_the_record_does(shelf: Shelf) -> None:
    store, other = await shelf.create("anna"), await shelf.create("berta")
    first = store.revision("permit")
    assert first is not None
    await store.put("memory", "c", {"n": 1})
    await other.put("permit", "c", {"n": 1})
    assert store.revision("permit") == first
    await store.put("permit", "c", {"n": 1})
    second = store.revision("permit")
    assert second != first

    going = asyncio.create_task(store.remove("permit", "c"))
    while store.revision("permit") == second:
        assert not going.done()  # never gone while the number is still the old one
        await asyncio.sleep(0)
    assert await going
    assert await store.get("permit", "c") is None
