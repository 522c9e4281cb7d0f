"""A socket that many wallets share (docs/adr/0083)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aggregation.server import config
from aggregation.server.consumers import Place, RoundConsumer
from aggregation.server.services.ingest import Kind
from tests.apps.roles.peer import Peer
from tests.apps.roles.world import World

pytestmark = pytest.mark.django_db(transaction=True, databases=["distributor", "aggregator"])


@pytest.fixture
def no_join_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who joins stays at it for good."""

    async def wait(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setitem(RoundConsumer._HANDLERS, "join", wait)


async def test_a_place_that_is_refused_leaves_the_socket_to_the_others(world: World) -> None:
    async with Peer(RoundConsumer) as peer:
        for place, message, code in (
            (0, {"t": "receipt", "m": b""}, "out_of_order"),
            (7, {"t": "x"}, "bad_frame"),
            (0, {"t": "join"}, "bad_frame"),
            (
                1,
                {"t": "join", "job": bytes(16), "round": 1, "job_key": bytes(32), "sig": bytes(64)},
                "bad_signature",
            ),
        ):
            await peer.seal(message, place=place)
            await peer.refused_at(place, code)


@pytest.mark.parametrize("place", [-1, config.PLACES_ON_A_SOCKET, "1", True])
async def test_a_place_is_a_small_number(world: World, place: Any) -> None:
    async with Peer(RoundConsumer) as peer:
        await peer.seal({"t": "join"}, place=place)
        await peer.refused("bad_frame")


@pytest.mark.usefixtures("no_join_ends")
async def test_a_socket_has_one_wallet_or_numbered_places(world: World) -> None:
    async with Peer(RoundConsumer) as peer:
        await peer.seal({"t": "join"}, place=0)
        await peer.seal({"t": "join"})
        await peer.refused("bad_frame")


@pytest.mark.usefixtures("no_join_ends")
async def test_who_sends_on_without_an_answer_is_refused_alone(world: World) -> None:
    async with Peer(RoundConsumer) as peer:
        for _ in range(config.FRAMES_WAITING + 2):  # one is being answered, and one is too many
            await peer.seal({"t": "join"}, place=3)
        await peer.refused_at(3, "too_fast")
        await peer.seal({"t": "x"}, place=4)
        await peer.refused_at(4, "bad_frame")


@pytest.mark.usefixtures("no_join_ends")
async def test_what_follows_opens_with_the_places_own_key_only(world: World) -> None:
    async with Peer(RoundConsumer) as peer:
        for place in (0, 1):
            await peer.seal({"t": "join"}, place=place)
            for _ in range(3):
                await peer.seal_next({"t": "join"}, place=place)
        assert await peer.socket.receive_nothing(timeout=0.2)
        await peer.seal({"t": "join"}, place=2)
        peer._sealers[2] = peer._sealers[1]
        await peer.seal_next({"t": "join"}, place=2)
        await peer.refused("cannot_unseal")


async def test_what_comes_after_a_refusal_is_refused_alone(world: World) -> None:
    async with Peer(RoundConsumer) as peer:
        await peer.seal({"t": "x"}, place=0)
        await peer.refused_at(0, "bad_frame")
        await peer.seal_next({"t": "receipt", "m": b""}, place=0)
        await peer.refused_at(0, "out_of_order")
        await peer.seal({"t": "x"}, place=1)
        await peer.refused_at(1, "bad_frame")


async def test_one_frame_acknowledges_what_was_stored_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = asyncio.Event()

    async def say(consumer: RoundConsumer, place: Place, message: dict[str, Any]) -> None:
        if message["n"] == 4:
            together.set()
        await together.wait()
        await place.acknowledge(Kind(message["of"]))

    monkeypatch.setitem(RoundConsumer._HANDLERS, "join", say)
    kinds = [Kind.MESSAGE, Kind.RECEIPT, Kind.MESSAGE, Kind.MESSAGE, Kind.RECEIPT]
    async with Peer(RoundConsumer) as peer:
        for place, kind in enumerate(kinds):
            await peer.seal({"t": "join", "n": place, "of": kind.value}, place=place)
        heard = [await peer.receive() for _ in range(2)]
        assert all(frame.keys() == {"t", "of", "s"} and frame["t"] == "ack" for frame in heard)
        assert {frame["of"]: sorted(frame["s"]) for frame in heard} == {
            Kind.MESSAGE.value: [0, 2, 3],
            Kind.RECEIPT.value: [1, 4],
        }
        assert await peer.socket.receive_nothing(timeout=0.1)


async def test_a_shared_socket_that_everybody_left_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Peer(RoundConsumer) as peer:
        monkeypatch.setattr(config, "CHALLENGE_SECONDS", 0.2)
        await peer.send({"t": "leave", "s": 5})  # nobody sits there
        await peer.seal({"t": "x"}, place=5)
        await peer.refused_at(5, "bad_frame")
        await peer.refused("challenge_expired")
