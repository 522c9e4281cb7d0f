"""A socket that many wallets share, and masked inputs that come as its frames (docs/adr/0083, 0084)."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from aggregation.server import config, slots
from aggregation.server.consumers import Place, RoundConsumer
from aggregation.server.errors import AggregatorError
from aggregation.server.services.ingest import Seat
from aggregation.server.states import Step
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


async def test_a_shared_socket_that_everybody_left_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Peer(RoundConsumer) as peer:
        monkeypatch.setattr(config, "CHALLENGE_SECONDS", 0.2)
        await peer.send({"t": "leave", "s": 5})  # nobody sits there
        await peer.seal({"t": "x"}, place=5)
        await peer.refused_at(5, "bad_frame")
        await peer.refused("challenge_expired")


async def test_a_short_input_comes_as_a_frame_and_is_counted_once(world: World) -> None:
    scripts = {0: "once", 1: "twice", 2: "two", 3: "cut"}
    await world.enrol(24, scripts={number: {"frames": script} for number, script in scripts.items()})
    await world.open_round(1, cohort=24, bucket_size=24)
    state = await world.over(1)
    assert state["state"] == "released", state
    assert state["survivors"] == 23  # of the cut one nothing was stored; that of the liar was, the first time
    assert [wallet.uploaded for wallet in world.wallets[:4]] == [[201], [201, 200], [201], []]
    assert world.wallets[2].outcomes == ["conflict"]
    assert world.wallets[3].outcomes == ["wrong_size"]
    total, count = await world.sum(1)
    assert count == 23
    inside = [wallet for number, wallet in enumerate(world.wallets) if number != 3]
    assert np.array_equal(total, world.plain_sum(1, inside))


@pytest.mark.parametrize(
    ("answer", "frame"),
    [
        (201, {"t": "stored", "status": 201}),
        (OSError(28, "no space"), {"t": "again"}),
        (AggregatorError("Over.", code="phase_over"), {"t": "error", "code": "phase_over", "text": "Over."}),
    ],
)
async def test_what_a_wallet_hears_of_an_input_it_sent_as_a_frame(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: Any, frame: dict[str, Any]
) -> None:
    seat = Seat(
        participant=1,
        round=1,
        job_key=bytes(32),
        subscription_key="",
        ticket="",
        hub="",
        step=Step.ADVERTISE,
    )
    taken: list[bytes] = []

    async def seated(consumer: RoundConsumer, place: Place, message: dict[str, Any]) -> None:
        place.seat = seat
        await place.push({"t": "joined"})

    async def take(hub: Any, who: Seat, sealed: bytes) -> int:
        assert who is seat
        taken.append(sealed)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    monkeypatch.setitem(RoundConsumer._HANDLERS, "join", seated)
    monkeypatch.setattr(slots, "take_frame", take)
    async with Peer(RoundConsumer) as peer:
        await peer.send({"t": "input", "b": b"early"})
        await peer.refused("out_of_order")
    async with Peer(RoundConsumer) as peer:
        await peer.seal({"t": "join"})
        assert (await peer.receive())["t"] == "joined"
        await peer.send({"t": "input", "b": b"sealed"})
        assert await peer.receive() == frame
        await peer.send({"t": "input", "b": 7})
        await peer.refused("bad_frame")
    assert taken == [b"sealed"]
