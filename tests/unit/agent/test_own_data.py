"""The holder looks at the data, deletes some of it, and has the whole wallet checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.agent import documents
from tests.unit.agent.conftest import Run
from tests.unit.agent.test_local_api import PASSPHRASE, Client, cheap, pages
from tests.unit.agent.test_notices import closed, the_wallet
from tests.unit.agent.world import World
from wallets.agent import integrity, receipts, versions
from wallets.agent.journal import Kind
from wallets.agent.local_api import LocalPages
from wallets.agent.material import missing_for

__all__ = ["cheap", "pages"]  # the fixtures


@pytest.fixture
async def subscribed(run: Run, tmp_path: Path, requirement: str, world: World) -> World:
    await run("init")
    (tmp_path / "me.json").write_text(json.dumps(documents.RECORD))
    await run("import", str(tmp_path / "me.json"), "--requirement", requirement)
    await run("subscribe", world.collective.id, "--server", world.url, "--yes")
    return world


async def test_fields_are_named_and_shown_only_when_asked(run: Run, subscribed: World) -> None:
    assert (await run("data")).out.split() == ["height", "ill", "weight"]
    assert "height  4.5" in (await run("data", "--values")).out


async def test_a_deleted_field_is_gone_and_ends_visits_but_not_the_permit(
    run: Run, subscribed: World, tmp_path: Path
) -> None:
    said = await run("forget-data", "height", "shoe")
    assert (said.code, "has no field shoe. Nothing was deleted" in said.err) == (1, True)
    said = await run("forget-data", "height")
    assert said.code == 0
    assert "Deleted and erased" in said.out
    assert "gets no visit from now on" in said.out
    assert (await run("data")).out.split() == ["ill", "weight"]
    agent = await the_wallet(tmp_path / "w")
    (stored,) = (await agent.store.list("permit")).values()
    record = await agent.store.get("record", "main")
    assert record is not None
    assert missing_for(stored, record) == ("height is missing",)
    (entry,) = [e for e in await agent.journal.entries(kinds=["data"]) if "deleted" in e.sentence]
    assert "height" not in entry.sentence
    await closed(agent)


async def test_a_remembered_comparison_holds_for_these_very_values_only(
    subscribed: World, tmp_path: Path
) -> None:
    agent = await the_wallet(tmp_path / "w")
    (stored,) = (await agent.store.list("permit")).values()
    record = await agent.store.get("record", "main")
    assert record is not None
    assert missing_for(stored, record, remembered=agent.compared) == ()
    changed = {**record, "height": record["height"] + 1}
    (why,) = missing_for(stored, changed, remembered=agent.compared)
    assert why.startswith("your data changed since you subscribed")
    assert missing_for(stored, record, remembered=agent.compared) == ()
    reseeded = {**stored, "commitment_seed": "00" * (len(stored["commitment_seed"]) // 2)}
    assert missing_for(reseeded, record, remembered=agent.compared) == (why,)
    await closed(agent)


async def test_a_sound_wallet_is_sound_and_a_changed_one_is_not(
    run: Run, subscribed: World, tmp_path: Path
) -> None:
    said = await run("check")
    assert (said.code, "journal, permits and receipts are what was written" in said.out) == (0, True)
    collective = subscribed.collective.id
    agent = await the_wallet(tmp_path / "w")

    async def spoiled(category: str, name: str, change: Any) -> tuple[str, ...]:
        kept = await agent.store.get(category, name)
        assert kept is not None
        await agent.store.put(category, name, change(kept))
        found = (await integrity.check(agent)).problems
        await agent.store.put(category, name, kept)
        return found

    def louder(stored: dict[str, Any]) -> dict[str, Any]:
        document = {**stored["permit"]["document"], "rate": "1"}
        return {**stored, "permit": {**stored["permit"], "document": document}}

    (problem,) = await spoiled("permit", collective, louder)
    assert "permit of" in problem
    assert "signature does not hold" in problem
    (name,) = await agent.store.list(receipts.CATEGORY)
    (problem,) = await spoiled(
        receipts.CATEGORY, name, lambda kept: {**kept, "document": {**kept["document"], "events": []}}
    )
    assert "1 consent receipts were changed" in problem
    (problem,) = await spoiled("journal", "000000000000", lambda kept: {**kept, "code": "x"})
    assert "journal was changed at entry 0" in problem
    assert (await integrity.check(agent)).problems == ()
    await agent.store.put(
        "journal", "000000000000", {**(await agent.store.list("journal"))["000000000000"], "code": "x"}
    )
    await closed(agent)
    said = await run("check")
    assert (said.code, "journal was changed at entry 0" in said.out) == (1, True)


async def test_the_pages_offer_the_same(pages: LocalPages) -> None:
    client = Client(pages)
    await client.act("create", passphrase=PASSPHRASE)
    await pages._holder.agent.store.put("record", "main", dict(documents.RECORD))
    assert await client.act("forget-data", fields=["ill"]) == {"deleted": ["ill"]}
    assert set((await client.read("data"))["record"]) == {"height", "weight"}
    await client.act("forget-data", 404, fields=["ill"])
    await client.act("forget-data", 400, fields="ill")
    assert (await client.act("check-store"))["problems"] == []
    seen = await client.read("health")
    assert seen["versions"] == versions.known()
    assert seen["versions"]["torch"][0].isdigit()
    assert seen["versions"]["terms"] == "1"
    book = await client.read("journal")
    assert book["collectives"] == []
    await pages._holder.agent.record(Kind.DATA, collective_id="c" * 36)
    assert (await client.read("journal"))["collectives"] == [{"id": "c" * 36, "name": "cccccccc… (left)"}]
