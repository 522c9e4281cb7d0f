"""What the holder's pages show after a visit: last use, the meter of each collective's privacy, earnings, and the journal by kind and collective."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.agent import documents
from tests.unit.agent.test_local_api import (
    PASSPHRASE,
    Client,
    a_permit,
    a_question,
    cheap,
    enter,
    pages,
)
from tests.unit.agent.world import World
from wallets.agent.agent import WalletAgent
from wallets.agent.journal import Kind
from wallets.agent.ledger import RECORD, Charge, Ledger
from wallets.agent.local_api import LocalPages
from wallets.agent.messages import Memory

__all__ = ["cheap", "pages"]  # fixtures


async def visited(agent: WalletAgent, collective: str, *, at: int, micro: int) -> None:
    """As the agent leaves it after one accepted and proven visit."""
    memory = Memory.from_record(await agent.store.get("memory", collective))
    memory = replace(memory, visited=memory.visited + 1, spent_micro=memory.spent_micro + micro)
    charge = Charge(
        day=at // 86_400,
        collective_id=collective,
        job_id="j",
        formal=False,
        visits=1,
        operator_micro=micro,
        consumer_micro=micro // 5,
    )
    async with agent.store.transaction() as records:
        await records.put("memory", collective, memory.to_record())
        ledger = Ledger.from_record(await records.get(*RECORD)).charged(charge)
        await records.put(*RECORD, ledger.to_record())
    await agent.journal.append(
        at, Kind.VISIT, collective_id=collective, job="j", round=1, amount=str(documents.RATE)
    )


async def test_after_a_visit_the_pages_say_when_how_much_and_what_it_cost(pages: LocalPages) -> None:
    client = Client(pages)
    async with World() as world:
        ident = world.collective.id
        await client.act("create", passphrase=PASSPHRASE)
        agent = pages._holder.agent
        await agent.pin_server(world.description())
        await enter(pages, client, world.collective)
        await client.act("subscribe", collective=ident)
        await client.act("answer", id=(await a_question(client))["id"], answer="subscribe")
        await world.until(lambda: bool(world.subscribers))
        await a_permit(client)
        await client.act("limit", collective=ident, privacy_micro=400_000)
        for at, micro in ((documents.now() - 60, 100_000), (documents.now() - 5, 200_000)):
            await visited(agent, ident, at=at, micro=micro)

        permit = await a_permit(client)
        assert (permit["visits"], permit["last_use"] >= documents.now() - 30) == (2, True)
        year, own = await client.read("privacy")
        assert (year["visits"], year["rho"], year["share"]) == (2, 0.3, None)
        assert "towards consumers and the chain" in year["words"]
        assert (own["name"], own["visits"], own["rho"], own["limit_rho"]) == ("Heights", 2, 0.3, 0.4)
        assert own["share"] == 0.75
        assert own["epsilon"] > 0
        assert (await client.read("earnings"))["own"] == {"visits": 2, "tokens": "0.01"}

        for path, kinds in (
            ("journal?kind=visit", ["visit", "visit"]),
            (f"journal?kind=visit&collective={ident}", ["visit", "visit"]),
            (f"journal?kind=created&collective={ident}", []),
            ("journal?kind=created", ["created"]),
        ):
            book = await client.read(path)
            assert [entry["kind"] for entry in book["entries"]] == kinds
            assert book["broken_at"] is None  # of the whole chain, whatever is shown
        assert book["collectives"] == [{"id": ident, "name": "Heights"}]
        assert (await client.read("journal?kind=visit"))["entries"][0]["tokens"] == "0.005"

        await client.act("delete-permit", collective=ident)
        (left,) = (await client.read("journal"))["collectives"]
        assert left == {"id": ident, "name": f"{ident[:8]}… (left)"}
        assert (await client.read("earnings"))["own"]["visits"] == 2
        assert [one["name"] for one in await client.read("privacy")] == ["Everything together, in 365 days"]
