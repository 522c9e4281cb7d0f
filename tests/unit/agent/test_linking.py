"""Links to a collective, and a pinned server that no link exchanges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.agent.conftest import Run
from tests.unit.agent.documents import Collective
from tests.unit.agent.test_cli import GOOD, csv
from tests.unit.agent.test_membership import Make, make
from tests.unit.agent.world import World
from wallets.agent import linking, local_views, server
from wallets.agent.agent import WalletAgent
from wallets.agent.errors import BadData, InsecureTransport, NotFound, PeerNotTrusted, ProtocolFault
from wallets.agent.linking import SubscriptionLink

__all__ = ["make"]  # the fixture
ID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"


def link_to(world: World) -> SubscriptionLink:
    pin = server.pin_of(world.description())
    return SubscriptionLink(collective=world.collective.id, url=world.url, pin=pin)


def test_a_link_survives_being_written_and_read() -> None:
    link = SubscriptionLink(collective=ID, url="https://site.example", pin="ab" * 32)
    assert linking.parse_subscription(f" {link}\n") == link
    assert linking.parse_subscription(ID.upper()) == SubscriptionLink(collective=ID)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not an id",
        "cssi://pair?url=https://a&code=1&pin=2",
        f"cssi://subscribe?collective={ID}",
        "cssi://subscribe?url=https://site.example&collective=x&pin=ab",
        f"https://subscribe?url=https://site.example&collective={ID}&pin=ab",
    ],
)
def test_a_broken_link_is_named(text: str) -> None:
    with pytest.raises(BadData):
        linking.parse_subscription(text)


def test_a_plain_address_beyond_this_machine_is_refused() -> None:
    with pytest.raises(InsecureTransport):
        linking.parse_subscription(f"cssi://subscribe?url=http://site.example&collective={ID}&pin=ab")


async def test_a_link_pins_a_server_once_and_never_exchanges_it(make: Make, world: World) -> None:
    agent = await make()
    with pytest.raises(NotFound):
        await linking.know_server(agent, "")
    with pytest.raises(PeerNotTrusted):
        await linking.know_server(agent, world.url, "00" * 32)
    link = link_to(world)
    await linking.know_server(agent, link.url, link.pin)
    await linking.know_server(agent, link.url, link.pin)
    await linking.know_server(agent, "")
    async with World() as other:
        for pin in ("", server.pin_of(other.description())):
            with pytest.raises(PeerNotTrusted):
                await linking.know_server(agent, other.url, pin)
    assert agent.server.pin == link.pin


def other_terms(world: World) -> list[dict[str, Any]]:
    """What a market could put in the place of a collective's signed terms."""
    mine, stranger = world.collective, Collective()
    return [
        {**mine.terms_envelope, "document": {**mine.terms, "purpose": "Something harmless."}},
        stranger.terms_envelope,
        mine.sign("terms", mine.terms, stranger.private),
        mine.sign("notice", mine.terms),
        {"document": mine.terms},
        {},
    ]


async def test_terms_that_the_collective_did_not_sign_are_not_even_shown(make: Make, world: World) -> None:
    agent, ident = await make(world), world.collective.id
    _, terms = await linking.signed_terms(agent, ident)
    assert terms.name == "Heights"
    honest = world._api
    for lie in other_terms(world):
        world._api = lambda parts, sent, lie=lie: lie if parts[-1] == "terms" else honest(parts, sent)  # type: ignore[method-assign]
        with pytest.raises(ProtocolFault):
            await linking.signed_terms(agent, ident)
        with pytest.raises(ProtocolFault):
            await local_views.review(Holder(agent), {"collective": ident})  # type: ignore[arg-type]


class Holder:
    """What a page needs of the holder to look at terms."""

    def __init__(self, agent: WalletAgent) -> None:
        self.agent = agent


async def test_subscribing_by_link_on_the_command_line(
    run: Run, tmp_path: Path, requirement: str, world: World
) -> None:
    await run("init")
    await run("import", csv(tmp_path, GOOD), "--requirement", requirement)
    said = await run("subscribe", str(link_to(world)), "--yes")
    assert (said.code, "Subscribed to Heights" in said.out) == (0, True)
    async with World() as other:
        said = await run("subscribe", str(link_to(other)), "--yes")
        assert (said.code, "already trusts another server" in said.err) == (1, True)
