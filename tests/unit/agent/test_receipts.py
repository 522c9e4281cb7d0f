"""Consent receipts: what they say, that anyone can check them, and what a withdrawal adds."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from collectives.terms.envelope import SignedDocument
from tests.unit.agent import documents
from tests.unit.agent.conftest import Run
from tests.unit.agent.test_cli import GOOD, csv
from tests.unit.agent.test_membership import Make, make, subscribed
from tests.unit.agent.world import World
from wallets.agent import leaving, receipts

__all__ = ["make"]  # the fixture


async def test_a_receipt_has_the_standards_fields_and_is_signed_by_the_pseudonym(
    make: Make, world: World
) -> None:
    agent = await subscribed(make, world)
    (kept,) = await receipts.kept(agent.store)
    assert kept.genuine
    document = kept.document
    for name in (
        "schema_version",
        "record_id",
        "pii_principal_id",
        "purposes",
        "party_identification",
        "events",
    ):
        assert document[name]
    (purpose,) = document["purposes"]
    assert purpose["lawful_basis"] == "consent"
    assert [item["pii_type"] for item in purpose["pii_information"]] == ["height", "ill", "weight"]
    (party,) = document["party_identification"]
    assert (party["party_role"], party["party_key"]) == ("pii_controller", world.collective.key)
    (event,) = document["events"]
    assert event["event_state"] == "consent_given"
    (pseudonym,) = world.subscribers
    assert document["pii_principal_id"] == pseudonym.hex()
    text = json.dumps(document)
    assert "4.5" not in text  # fields, never values
    assert str(documents.RATE) in text


async def test_a_withdrawal_is_a_second_signed_event_and_outlives_the_key(make: Make, world: World) -> None:
    agent = await subscribed(make, world)
    await leaving.revoke(agent, world.collective.id)
    assert await agent.store.list("keys") == {}
    (kept,) = await receipts.kept(agent.store)
    assert kept.genuine
    assert [event["event_state"] for event in kept.document["events"]] == [
        "consent_given",
        "consent_withdrawn",
    ]
    assert kept.document["events"][1]["method"] == "revoked in the wallet"
    assert kept.document["receipt_id"].endswith(":2")


async def test_a_changed_or_foreign_receipt_is_not_genuine(make: Make, world: World) -> None:
    agent = await subscribed(make, world)
    (kept,) = await receipts.kept(agent.store)
    changed = copy.deepcopy(dict(kept.envelope))
    changed["document"]["purposes"][0]["purpose"] = "Anything."
    assert not receipts.genuine(changed)
    by_another = SignedDocument.sign("consent", kept.document, world.collective.private).to_json()
    assert not receipts.genuine(by_another)
    assert not receipts.genuine({})
    await agent.store.put("consent", "x", changed)
    assert sorted(one.genuine for one in await receipts.kept(agent.store)) == [False, True]


async def test_the_command_lists_and_exports_them(
    run: Run, tmp_path: Path, requirement: str, world: World
) -> None:
    await run("init")
    await run("import", csv(tmp_path, GOOD), "--requirement", requirement)
    await run("subscribe", world.collective.id, "--server", world.url, "--yes")
    listed = await run("receipts")
    assert (listed.code, "consent_given" in listed.out) == (0, True)
    assert listed.out.splitlines()[1].endswith("yes")
    (envelope,) = json.loads((await run("receipts", "--format", "json")).out)
    assert receipts.genuine(envelope)
    await run("revoke", world.collective.id)
    assert "consent_withdrawn" in (await run("receipts")).out


async def test_limits_and_settings_are_shown_and_kept(
    run: Run, tmp_path: Path, requirement: str, world: World
) -> None:
    await run("init")
    said = await run("settings", "--sandbox", "reduced", "--visits-per-day", "7", "--lock-after", "15")
    assert (said.code, "at most 7" in said.out, "level reduced" in said.out) == (0, True, True)
    assert "after 15 minutes" in (await run("settings")).out
    assert (await run("settings", "--visits-per-day", "-1")).code == 2
    await run("import", csv(tmp_path, GOOD), "--requirement", requirement)
    await run("subscribe", world.collective.id, "--server", world.url, "--yes")
    said = await run("limit", "Heights", "--visits-total", "9", "--privacy", "0.5", "--pause")
    assert (said.code, "(paused)" in said.out, "of at most 9" in said.out) == (0, True, True)
    assert "of at most 0.5" in said.out
    said = await run("limit", world.collective.id, "--resume", "--privacy", "0")
    assert ("paused" in said.out, "without a limit" in said.out) == (False, True)
    assert (await run("limit", "Nobody")).code == 1
    assert (await run("limit", "Heights", "--privacy", "much")).code == 2
