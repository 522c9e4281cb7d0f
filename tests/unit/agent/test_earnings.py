"""What was earned: kept, shown with its age, and asked so that one person's addresses do not stand in a row."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from aggregation.wire.secret import Secret
from tests.unit.agent import documents
from tests.unit.agent.conftest import Run
from tests.unit.agent.test_inbox import NoSandbox
from tests.unit.agent.world import World
from wallets.agent import earnings, vault
from wallets.agent.agent import WalletAgent
from wallets.agent.consent import Consent, Rule
from wallets.agent.errors import NotFound, ProtocolFault
from wallets.agent.transport import Transport

NOTE = "Visits are paid together every 1 day."
FIRST, SECOND = "0x" + "a1" * 20, "0x" + "b2" * 20


class Market:
    """The scripted server, watched by address and by connection."""

    def __init__(self, world: World) -> None:
        self.world, self.asked = world, []
        self.answer: Any = {
            "pending": "5",
            "paid": "7",
            "next_epoch": 2**31,
            "note": NOTE,
            "epoch_seconds": 60,
        }
        honest, app = world._api, world._app

        def api(parts: list[str], sent: Any) -> Any:
            return self.answer if parts[0] == "payouts" else honest(parts, sent)

        async def noting(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if "/payouts/" in scope.get("path", ""):
                self.asked.append((scope["path"].rsplit("/", 1)[1], scope["client"][1]))
            await app(scope, receive, send)

        world._api, world._app = api, noting  # type: ignore[method-assign]

    asked: list[tuple[str, int]]


@pytest.fixture
async def market() -> AsyncIterator[Market]:
    made = World()
    watched = Market(made)
    async with made:
        yield watched


@pytest.fixture
async def agent(tmp_path: Path, market: Market) -> AsyncIterator[WalletAgent]:
    store, _ = await vault.create(tmp_path / "x", rng=secrets.token_bytes, host_key=Secret(b"k" * 32))
    made = WalletAgent(
        name="x",
        store=store,
        transport=Transport(timeout=2),
        launcher=NoSandbox(),
        consent=Consent(Rule.ASK),
        now=documents.now,
        rng=secrets.token_bytes,
    )
    await made.pin_server(market.world.description())
    for key, name, address in (("01", "Heights", FIRST), ("02", "Weights", SECOND)):
        await store.put("payout", key, {"private": "00", "name": name, "address": address})
    yield made
    await made.transport.close()
    await store.close()


async def test_one_address_at_a_time_the_longest_unasked_first_each_on_its_own_connection(
    agent: WalletAgent, market: Market
) -> None:
    for now in (100, 200, 300):
        agent.now = lambda now=now: now  # type: ignore[misc]
        await earnings.ask(agent, await earnings.next_to_ask(agent))
    assert [address for address, _ in market.asked] == [FIRST, SECOND, FIRST]
    assert len({port for _, port in market.asked}) == 3
    assert [(line.name, line.age) for line in await earnings.lines(agent)] == [
        ("Heights", 300),
        ("Weights", 200),
    ]
    (told,) = {line.told.note for line in await earnings.lines(agent) if line.told}
    assert told == NOTE
    assert (await earnings.next_to_ask(agent, "heights")).address == FIRST
    assert (await earnings.next_to_ask(agent, SECOND.upper().replace("0X", "0x"))).name == "Weights"
    with pytest.raises(NotFound):
        await earnings.next_to_ask(agent, "nobody")


async def test_what_was_paid_since_is_journaled_once(agent: WalletAgent, market: Market) -> None:
    for paid in ("7", "7", "9", "8"):
        market.answer = {**market.answer, "paid": paid}
        await earnings.ask(agent, await earnings.next_to_ask(agent, "heights"))
    paid_out = await agent.journal.entries(kinds=["payout"])
    assert [entry.amount for entry in paid_out] == ["7", "2"]
    assert "0.000000000000000002 were paid for visits of Heights" in paid_out[1].sentence
    assert await agent.journal.verify() is None


async def test_a_wallet_that_stays_open_asks_hours_apart(
    agent: WalletAgent, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(earnings, "sleep", sleep)
    clock = iter(range(100, 200))
    agent.now = lambda: next(clock)
    with suppress(asyncio.CancelledError):
        await earnings.keep_asking(agent)
    assert [address for address, _ in market.asked] == [FIRST, SECOND, FIRST]
    assert all(3 * 3600 <= pause <= 9 * 3600 for pause in pauses)
    assert len(set(pauses)) == len(pauses)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"pending": "5"},
        {"pending": "x", "paid": "1"},
        {"pending": "-1", "paid": "1"},
        {"pending": "1", "paid": "1" * 60},
        {"pending": "1", "paid": "1", "next_epoch": "soon"},
    ],
)
async def test_a_malformed_answer_changes_nothing(agent: WalletAgent, market: Market, answer: Any) -> None:
    market.answer = answer
    with pytest.raises(ProtocolFault):
        await earnings.ask(agent, await earnings.next_to_ask(agent))
    assert [line.told for line in await earnings.lines(agent)] == [None, None]


async def test_the_command_asks_one_shows_all_and_says_when_and_why(
    run: Run, tmp_path: Path, requirement: str, market: Market
) -> None:
    await run("init")
    assert "0 visits, 0 tokens" in (await run("earnings")).out
    data = tmp_path / "me.json"
    data.write_text(json.dumps(documents.RECORD))
    await run("import", str(data), "--requirement", requirement)
    world = market.world
    for _ in range(2):
        await run("subscribe", world.collective.id, "--server", world.url, "--yes")
        await run("revoke", world.collective.id)
    said = await run("earnings", "--kept")
    assert (said.out.count("not asked yet"), market.asked) == (2, [])
    said = await run("earnings")
    assert len(market.asked) == 1
    assert NOTE in said.out
    assert "Next payment: 2038-01-19 03:14:08 UTC." in said.out
    assert "Pending (in no payment yet): 0. Available (on its way to your addresses): " in said.out
    assert "Only 0x" in said.out
    assert said.out.count("not asked yet") == 1
    assert "one person's" not in (await run("earnings", "--all")).out
    assert len(market.asked) == 3
    assert (await run("earnings", "--of", "nobody")).code == 1
    await world.stop()
    said = await run("earnings")
    assert said.code == 1
    assert "0.000000000000000005" in said.out  # what was told last is shown all the same
    assert "Nothing was lost" in said.err
