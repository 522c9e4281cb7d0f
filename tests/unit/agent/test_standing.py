"""What the aggregator says about this wallet reaches its holder, nobody else can say it, and a holder can object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aggregation.wire import signing
from tests.unit.agent import documents
from tests.unit.agent.conftest import Run
from tests.unit.agent.test_notices import closed, the_wallet
from tests.unit.agent.world import World
from wallets.agent import local_reads, standing

REASON = "In 9 of 9 rounds the sum this wallet was in stood out."


@pytest.fixture
async def subscribed(run: Run, tmp_path: Path, requirement: str, world: World) -> bytes:
    """A wallet with a permit; its subscription key."""
    await run("init")
    data = tmp_path / "me.json"
    data.write_text(json.dumps(documents.RECORD))
    await run("import", str(data), "--requirement", requirement)
    await run("subscribe", world.collective.id, "--server", world.url, "--yes")
    (key,) = world.subscribers
    return key


async def mailed(tmp_path: Path, key: bytes, letter: dict[str, Any]) -> str | None:
    agent = await the_wallet(tmp_path / "w")
    outcome = await agent.inbox.on_mail(to=key, kind="standing", body=json.dumps(letter).encode())
    await closed(agent)
    return outcome


async def test_an_excluded_wallet_says_why_and_its_holder_objects(
    run: Run, subscribed: bytes, world: World, tmp_path: Path
) -> None:
    assert "Nothing was said" in (await run("appeal", "Heights")).out
    assert (await run("appeal", "Heights", "--text", "Why?")).code != 0

    assert await mailed(tmp_path, subscribed, world.standing(subscribed, "excluded", REASON)) == "done"
    said = await run("appeal", "Heights")
    assert standing.SAID["excluded"] in said.out
    assert REASON in said.out
    assert world.appeals == []

    assert (await run("appeal", "Heights", "--text", "  It was the network.  ")).code == 0
    (appeal,) = world.appeals
    assert (appeal.subscription_key, appeal.text) == (subscribed, b"It was the network.")
    assert "You objected: “It was the network.”" in (await run("appeal", "Heights")).out

    answer = world.standing(subscribed, "reinstated", "You are right.", revision=2)
    assert await mailed(tmp_path, subscribed, answer) == "done"
    assert "This wallet is asked again." in (await run("appeal", "Heights")).out
    assert (await run("appeal", "Heights", "--text", "More")).code != 0
    journal = json.loads((await run("visits", "--kind", "notice", "--format", "json")).out)
    assert [entry["code"] for entry in journal] == ["excluded", "appeal", "reinstated"]
    assert REASON in journal[0]["sentence"]


async def test_a_letter_that_comes_twice_or_late_changes_nothing(
    run: Run, subscribed: bytes, world: World, tmp_path: Path
) -> None:
    first = world.standing(subscribed, "excluded", REASON)
    for letter in (first, first, world.standing(subscribed, "upheld", "No.", revision=2), first):
        assert await mailed(tmp_path, subscribed, letter) == "done"
    assert "not granted" in (await run("appeal", "Heights")).out
    journal = json.loads((await run("visits", "--kind", "notice", "--format", "json")).out)
    assert [entry["code"] for entry in journal] == ["excluded", "upheld"]


FORMS: tuple[dict[str, Any], ...] = (
    {"state": "banned"},
    {"collective_id": "11111111-1111-4111-8111-111111111111"},
    {"subscription_key": "ab" * 32},
    {"version": 2},
    {"reason": "x" * 1001},
    {"more": 1},
    {"created": True},
)


async def test_only_the_aggregators_letter_to_this_wallet_in_the_known_form_counts(
    run: Run, subscribed: bytes, world: World, tmp_path: Path
) -> None:
    """Nor does the distributor's, which carries it; and not a word of it may be another."""
    letter = world.standing(subscribed, "excluded", REASON)
    body = {name: value for name, value in letter.items() if name != "signature"}
    forged = [world.standing(subscribed, **({"state": "excluded", "reason": REASON} | one)) for one in FORMS]
    forged += [
        {**letter, "signature": signing.sign(world.distributor_key, b"cssi/v1/standing", body).hex()},
        {**letter, "reason": "Because."},
        {**letter, "signature": "zz"},
        body,
    ]
    agent = await the_wallet(tmp_path / "w")
    for one in forged:
        sent = json.dumps(one).encode()
        assert await agent.inbox.on_mail(to=subscribed, kind="standing", body=sent) == "refused", one
    assert await standing.of(agent, world.collective.id) is None
    await closed(agent)


async def test_the_pages_show_it_and_leaving_forgets_it(
    run: Run, subscribed: bytes, world: World, tmp_path: Path
) -> None:
    await mailed(tmp_path, subscribed, world.standing(subscribed, "excluded", REASON))
    agent = await the_wallet(tmp_path / "w")

    class Open:
        pass

    holder: Any = Open()
    holder.agent = agent
    (permit,) = await local_reads.list_permits(holder, {})
    assert permit["standing"] == {
        "state": "excluded",
        "sentences": [standing.SAID["excluded"], REASON],
    }
    await closed(agent)
    await run("revoke", "Heights")
    agent = await the_wallet(tmp_path / "w")
    assert await standing.of(agent, world.collective.id) is None
    await closed(agent)
