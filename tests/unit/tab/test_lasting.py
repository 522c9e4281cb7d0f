"""How long a permission lasts that the tab signs: as the person wants, never longer than the terms, and no permit outlives it."""

from __future__ import annotations

from tests.unit.agent.world import World
from tests.unit.tab.node import Script
from tests.unit.tab.test_wallet import acknowledged, offer, paired


async def test_an_offer_for_a_shorter_time_is_signed_for_that_time_only(world: World, wallet: Script) -> None:
    mailbox = await paired(world, wallet)
    wish = offer(world, valid_seconds=5 * 3600)
    assert await acknowledged(world, await world.mail(mailbox, "offer", wish)) == "done"
    (sent,) = world.posted[f"collectives/{world.collective.id}/subscriptions"]
    agreed = sent["document"]["agreement"]
    assert int(agreed["validUntil"]) - int(agreed["validFrom"]) == 5 * 3600


async def test_a_permit_that_outlives_what_was_signed_is_not_kept(world: World, wallet: Script) -> None:
    mailbox = await paired(world, wallet)
    world.collective.outlives = 1
    assert await acknowledged(world, await world.mail(mailbox, "offer", offer(world))) == "refused"
    journal = await wallet.ask("journal", name="w")
    assert journal["entries"][-1]["code"] == "bad_permit"
