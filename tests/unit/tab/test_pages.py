"""What the pages of a tab read and do, in Node against the scripted servers; and forms and files typed as the Python agent types them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

import pytest

from collectives.datatool import saved
from tests.unit.agent.documents import RATE
from tests.unit.agent.test_journal import strange_entries
from tests.unit.agent.test_linking import other_terms
from tests.unit.agent.world import World
from tests.unit.tab.conftest import RECORDS, Scene, link
from tests.unit.tab.node import Script
from wallets.agent import credentials, journal, server
from wallets.agent.errors import BadData

PASSPHRASE = {"passphrase": "correct horse battery"}
WORDS = {"height": "1.5", "weight": "7", "ill": "yes"}


@pytest.fixture
async def pages(world: World) -> AsyncIterator[Script]:
    async with Script("pages") as script:
        await script.ask("begin", url=world.url)
        yield script


async def act(script: Script, name: str, **given: Any) -> Any:
    return await script.ask("act", name=name, given=given)


async def read(script: Script, name: str, **given: Any) -> Any:
    return await script.ask("read", name=name, given=given)


async def ready(script: Script) -> str:
    """A wallet whose backup was shown to it; returns the backup as hex."""
    assert (await read(script, "state"))["state"] == "none"
    await act(script, "create", **PASSPHRASE)
    backup: str = (await act(script, "backup", **PASSPHRASE))["file"]
    await act(script, "confirm-backup", file=backup, **PASSPHRASE)
    return backup


async def test_no_data_before_a_backup_was_shown_to_the_wallet(pages: Script, world: World) -> None:
    assert (await act(pages, "create", passphrase="short"))["error"] == "bad_data"
    code = (await act(pages, "create", **PASSPHRASE))["recovery_code"]
    assert len(code) > 20
    collective = str(world.collective.id)
    assert (await read(pages, "state")) | {"name": ""} == {
        "state": "open",
        "backed_up": False,
        "locked_until": 0,
        "name": "",
    }
    data = {"collective": collective, "words": WORDS, "confirm": True}
    assert (await act(pages, "save-data", **data))["error"] == "backup_first"
    backup = (await act(pages, "backup", **PASSPHRASE))["file"]
    broken = backup[:-2] + ("00" if backup[-2:] != "00" else "01")
    assert (await act(pages, "confirm-backup", file=broken, **PASSPHRASE))["error"] == "bad_data"
    assert await act(pages, "confirm-backup", file=backup, **PASSPHRASE) == {}
    assert (await act(pages, "save-data", **data))["added"] == ["height", "ill", "weight"]
    assert (await act(pages, "lock"))["state"] == "locked"
    assert (await read(pages, "overview"))["error"] == "locked"
    assert (await act(pages, "unlock", passphrase="another passphrase"))["error"] == "wrong_passphrase"
    assert (await act(pages, "unlock", recovery_code=code))["backed_up"] is True
    assert (await read(pages, "data"))["record"] == {"height": 1.5, "weight": 7, "ill": True}


async def test_from_the_signed_document_to_a_permit_and_out_again(pages: Script, world: World) -> None:
    await ready(pages)
    collective = str(world.collective.id)
    missing = (await act(pages, "review", collective=collective))["missing"]
    assert len(missing) == 3
    await act(pages, "save-data", collective=collective, words=WORDS, confirm=True)
    reviewed = await act(pages, "review", collective=collective)
    assert reviewed["missing"] == []

    await act(pages, "subscribe", collective=collective)
    await pages.ask("until", event="question")
    (question,) = (await read(pages, "overview"))["questions"]
    assert question["sentences"] == reviewed["sentences"]
    assert [field["name"] for field in question["reads"]] == ["height", "weight", "ill"]
    assert len(question["terms_hash"]) == 64
    assert (await act(pages, "answer", id=question["id"], answer="perhaps"))["error"] == "bad_data"
    await act(pages, "answer", id=question["id"], answer="not now")
    assert (await pages.ask("until", event="not_subscribed"))["code"] == "declined"
    assert world.subscribers == {}

    await act(pages, "subscribe", collective=collective)
    questions: list[Any] = []
    while not questions:
        questions = (await read(pages, "overview"))["questions"]
    await act(pages, "answer", id=questions[0]["id"], answer="subscribe")
    assert (await pages.ask("until", event="subscribed"))["collective_id"] == collective
    assert len(world.subscribers) == 1
    (permit,) = await read(pages, "permits")
    assert permit["terms"] == reviewed["sentences"]
    assert [one["genuine"] for one in (await read(pages, "receipts"))["receipts"]] == [True]
    assert [one["visits"] for one in await read(pages, "privacy")] == [0, 0]
    live = await read(pages, "live")
    assert (live["permits"], live["visits"], live["earned"], live["recent"]) == (1, 0, "0", [])

    await act(pages, "pause", collective=collective, paused=True)
    await act(pages, "limit", collective=collective, visits_total=3)
    assert (await act(pages, "limit", collective=collective, visits_total=-1))["error"] == "bad_data"
    (permit,) = await read(pages, "permits")
    assert (permit["paused"], permit["limits"]["visits_total"]) == (True, 3)
    gone = await act(pages, "delete-permit", collective=collective)
    assert (gone["erased"], gone["servers_told"]) == (True, True)
    assert await read(pages, "permits") == []
    book = await read(pages, "journal")
    assert book["broken_at"] is None
    kinds = [entry["kind"] for entry in book["entries"]]
    assert kinds == ["revoked", "subscribed", "offer", "data", "security", "created"]
    assert (await act(pages, "check-store"))["problems"] == []


async def test_terms_that_the_collective_did_not_sign_are_not_even_shown(pages: Script, world: World) -> None:
    await ready(pages)
    ident, honest = str(world.collective.id), world._api
    assert (await act(pages, "review", collective=ident))["name"] == "Heights"
    for lie in other_terms(world):
        world._api = lambda parts, sent, lie=lie: lie if parts[-1] == "terms" else honest(parts, sent)  # type: ignore[method-assign]
        assert "error" in await act(pages, "review", collective=ident), lie
        assert "error" in await act(pages, "subscribe", collective=ident), lie
    assert world.subscribers == {}


async def test_a_round_is_shown_as_it_was_paid(pages: Script, tab: Script, world: World) -> None:
    await ready(pages)
    collective = str(world.collective.id)
    await act(pages, "save-data", collective=collective, words=WORDS, confirm=True)
    await act(pages, "subscribe", collective=collective)
    await pages.ask("until", event="question")
    (question,) = (await read(pages, "overview"))["questions"]
    await act(pages, "answer", id=question["id"], answer="subscribe")
    await pages.ask("until", event="subscribed")
    names = ["one", "two"]
    for name, record in zip(names, RECORDS, strict=False):
        await tab.ask("create", name=name, record=record)
        await tab.ask("know", name=name, url=world.url, pin=server.pin_of(world.description()))
        await tab.ask("answer", name=name, answer="subscribe")
        await tab.ask("subscribe", name=name, collective=collective)
        await tab.ask("run", name=name)
    await world.until(lambda: sum(len(line.keys) for line in world.lines) == 3, 20)
    scene = Scene(world, tab, names)
    await scene.enrol()
    assert (await scene.round(1).run()).count == 3
    visit = await pages.ask("until", event="visit")
    assert (visit["round"], visit["amount"]) == (1, str(RATE))
    live = await read(pages, "live")
    assert (live["connected"], live["visits"], live["earned"]) == (True, 1, "0.005")
    (shown,) = live["recent"]
    assert (shown["round"], shown["earned"], shown["name"]) == (1, "0.005", "Heights")
    assert [one["visits"] for one in await read(pages, "privacy")] == [1, 1]
    await a_payment_is_journaled_once(pages, world)


async def a_payment_is_journaled_once(pages: Script, world: World) -> None:
    honest, told = world._api, {"pending": "0", "paid": str(RATE), "next_epoch": None, "note": ""}
    world._api = lambda parts, sent: told if parts[0] == "payouts" else honest(parts, sent)  # type: ignore[method-assign]
    (one,) = (await read(pages, "earnings"))["addresses"]
    for _ in range(2):
        await act(pages, "ask-earnings", address=one["address"])
    (entry,) = (await read(pages, "journal", kind="payout"))["entries"]
    assert entry["sentence"] == "0.005 were paid for visits of Heights, as the market says."


async def test_paired_by_link_and_by_code(pages: Script, world: World) -> None:
    await ready(pages)
    assert (await act(pages, "pair", link="nonsense"))["error"] == "bad_data"
    assert (await act(pages, "pair", link=link(world)))["compare"] == ""
    assert (await read(pages, "health"))["paired"] is True
    code = await act(pages, "pair", url=world.url, code="abcd")
    assert len(code["compare"]) == 16


async def test_settings_secrets_and_the_end(pages: Script) -> None:
    backup = await ready(pages)
    assert (await act(pages, "settings", lock_after_minutes=30, sandbox="none"))["lock_after_minutes"] == 30
    assert (await act(pages, "settings", lock_after_minutes=-1))["error"] == "bad_data"
    new = {"passphrase": "another passphrase"}
    await act(pages, "passphrase", new_passphrase=new["passphrase"], **PASSPHRASE)
    assert (await act(pages, "destroy", **PASSPHRASE))["error"] == "wrong_passphrase"
    assert await act(pages, "destroy", **new) == {}
    assert (await read(pages, "state"))["state"] == "none"
    assert (await act(pages, "restore", file=backup, **PASSPHRASE))["backed_up"] is True


async def test_the_journal_is_written_for_a_spreadsheet_as_the_agent_writes_it(pages: Script) -> None:
    entries = strange_entries()
    assert await pages.ask("csv", entries=[asdict(entry) for entry in entries]) == journal.export_csv(entries)
    await ready(pages)
    exported = await act(pages, "export-journal", format="csv")
    assert exported["text"].startswith('"seq","at","kind"')
    assert json.loads((await act(pages, "export-journal", format="json"))["text"])[0]["kind"] == "created"


REQUIREMENT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "age": {"type": "integer", "minimum": 0, "maximum": 120, "x-feature": {"encode": "number"}},
        "hours": {"type": "number", "minimum": 0, "maximum": 24, "x-feature": {"encode": "number"}},
        "rested": {"type": "boolean", "x-feature": {"encode": "boolean"}},
        "kind": {"enum": ["a", "b"], "type": "string", "x-feature": {"encode": "one-hot"}},
        "skills": {
            "type": "array",
            "items": {"type": "string", "enum": ["x", "y"]},
            "maxItems": 2,
            "x-feature": {"encode": "multi-hot"},
        },
    },
    "required": ["age"],
    "additionalProperties": False,
}
GOOD = {"age": 41, "hours": 7.5, "rested": False, "kind": "b", "skills": ["x", "y"]}
FILES = {
    "plain.json": json.dumps(GOOD),
    "list.json": json.dumps([GOOD]),
    "marked.json": "\ufeff" + json.dumps(GOOD),
    "row.csv": 'age,hours,rested,kind,skills\r\n41,7.5,no,b,"[""x"", ""y""]"\r\n',
    "gaps.csv": "age,hours\n41,\n\n",
    "empty.json": " ",
    "two.json": "[{}, {}]",
    "twice.json": '{"age": 1, "age": 2}',
    "unknown.json": '{"shoe": 43}',
    "large.json": '{"age": 12345678901234567890}',
    "torn.json": '{"kind": "\\ud800"}',
    "semicolon.csv": "age;hours\n41;7\n",
    "header.csv": "age,hours\n",
    "strange.csv": "shoe,age\n1,2\n",
    "absent.csv": "hours\n2\n",
    "short.csv": "age,hours\n41\n",
    "quote.csv": 'age,hours\n"41,7\n',
    "word.csv": "age\nold\n",
    "half.csv": "age\n1.5\n",
    "other.csv": "age,kind\n1,c\n",
    "maybe.csv": "age,rested\n1,maybe\n",
    "json.csv": "age,skills\n1,x\n",
}


async def test_files_are_read_as_the_agent_reads_them(pages: Script) -> None:
    tool = saved.pack(REQUIREMENT, GOOD)
    files = FILES | {
        "tool.json": json.dumps(tool),
        "changed.json": json.dumps(tool | {"data": GOOD | {"age": 42}}),
        "foreign.json": json.dumps(tool | {"requirement_id": "00" * 32}),
    }
    taken = 0
    for name, text in files.items():
        here = await pages.ask("file", name=name, text=text, requirement=REQUIREMENT)
        try:
            wanted = credentials.from_text(name, text.removeprefix("\ufeff"), REQUIREMENT)
        except BadData as error:
            assert here.get("error") == error.code, name
            continue
        assert here == wanted, name
        taken += 1
    assert taken == 6


@pytest.mark.parametrize(
    "words",
    [
        {"age": " 41 ", "hours": "7", "rested": "true", "kind": "a", "skills": '["x"]'},
        {"age": "1e2", "hours": ".5", "rested": "0"},
        {"age": "forty"},
        {"age": "nan"},
        {"shoe": "43"},
        {"age": "1e400"},
    ],
)
async def test_forms_are_read_as_the_agent_reads_them(pages: Script, words: dict[str, str]) -> None:
    here = await pages.ask("words", words=words, requirement=REQUIREMENT)
    try:
        wanted = credentials.from_words(words, REQUIREMENT)
    except BadData as error:
        assert here.get("error") == error.code
    else:
        assert here == wanted
