"""The doors themselves: hostile frames, wrong tokens, expired challenges, uploads at the wrong time or of the wrong size."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from aggregation.secagg.messages import PayoutOpening
from aggregation.server import config, models
from aggregation.server.consumers import RoundConsumer
from aggregation.wire import cbor, sealing, signing
from tests.apps.roles.peer import Peer
from tests.apps.roles.world import World
from wallets.distributor import config as distributor_config
from wallets.distributor import consumers as distributor_consumers
from wallets.distributor import hub as distributor_hub
from wallets.distributor.consumers import WalletConsumer
from wallets.distributor.models import Mail, Presence
from wallets.distributor.selectors import Waiting
from wallets.distributor.services import presence, routes

pytestmark = pytest.mark.django_db(transaction=True, databases=["distributor", "aggregator"])


async def test_the_challenge_is_signed_by_the_pinned_key(world: World) -> None:
    for consumer, key in (
        (WalletConsumer, distributor_config.public_key()),
        (RoundConsumer, config.public_key()),
    ):
        async with Peer(consumer) as peer:
            body = {"nonce": peer.challenge["nonce"], "time": peer.challenge["time"]}
            assert peer.challenge["key"] == key
            signing.verify(key, b"cssi/v1/challenge", body, peer.challenge["sig"])


@pytest.mark.parametrize(
    "frame", [b"\x00", b"\xff" * 10, cbor.encode([1]), cbor.encode({"t": "x"}), cbor.encode({"t": 1})]
)
async def test_malformed_frames_end_the_wallet_socket(world: World, frame: bytes) -> None:
    async with Peer(WalletConsumer) as peer:
        await peer.send(frame)
        await peer.refused("bad_frame")


async def test_nothing_is_heard_before_hello(world: World) -> None:
    async with Peer(WalletConsumer) as peer:
        await peer.send({"t": "accept", "id": bytes(16)})
        await peer.refused("hello_first")


async def test_hello_needs_a_signature_over_this_very_challenge(world: World) -> None:
    secret = signing.generate(os.urandom)
    async with Peer(WalletConsumer) as peer:
        await peer.send(peer.hello(secret, nonce=bytes(32)))
        await peer.refused("bad_signature")
    async with Peer(WalletConsumer) as peer:
        await peer.send(peer.hello(secret) | {"version": 2})
        await peer.refused("bad_version")


async def test_an_expired_challenge_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Peer(WalletConsumer) as peer:
        later = distributor_config.now() + 61
        monkeypatch.setattr(distributor_config, "now", lambda: later)
        await peer.send(peer.hello(signing.generate(os.urandom)))
        await peer.refused("challenge_expired")


async def test_an_expired_challenge_is_refused_by_the_aggregator_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Peer(RoundConsumer) as peer:
        later = config.now() + config.CHALLENGE_SECONDS + 1
        monkeypatch.setattr(config, "now", lambda: later)
        await peer.seal({"t": "join", "job": bytes(16), "round": 1, "job_key": bytes(32), "sig": bytes(64)})
        await peer.refused("challenge_expired")


@pytest.mark.parametrize(
    ("consumer", "settings_of"), [(WalletConsumer, distributor_config), (RoundConsumer, config)]
)
async def test_who_never_answers_the_challenge_is_told_to_connect_again(
    world: World, monkeypatch: pytest.MonkeyPatch, consumer: Any, settings_of: Any
) -> None:
    monkeypatch.setattr(settings_of, "CHALLENGE_SECONDS", 0.1)
    async with Peer(consumer) as peer:
        answer = await peer.receive()
        assert (answer["code"], answer["text"]) == (
            "challenge_expired",
            "The challenge has expired; connect again.",
        )
        assert (await peer.socket.receive_output(timeout=5))["type"] == "websocket.close"


async def test_mail_is_delivered_once_per_socket_until_acknowledged(world: World) -> None:
    secret = signing.generate(os.urandom)
    key = signing.public_key(secret).hex()

    def post() -> None:
        routes.add_mailbox(key=key)
        routes.post_mail(key=key, ref="r", kind="offer", body="{}", expires=distributor_config.now() + 60)

    async with Peer(WalletConsumer) as peer:
        await peer.send(peer.hello(secret))
        assert (await peer.receive())["t"] == "welcome"
        await sync_to_async(post)()
        mail = await peer.receive()
        assert (mail["t"], mail["kind"], mail["body"]) == ("mail", "offer", b"{}")
        assert await peer.socket.receive_nothing(timeout=0.3)
    async with Peer(WalletConsumer) as peer:
        await peer.send(peer.hello(secret))
        assert [(await peer.receive())["t"] for _ in range(2)] == ["welcome", "mail"]
        await peer.send({"t": "ack", "id": mail["id"], "outcome": "done"})

        async def acknowledged() -> bool:
            return await sync_to_async(Mail.objects.filter(state="done", body="").exists)()

        await world.until(acknowledged)
    stranger = signing.generate(os.urandom)
    async with Peer(WalletConsumer) as peer:
        await peer.send(peer.hello(stranger))
        assert (await peer.receive())["t"] == "welcome"
        await peer.send({"t": "accept", "id": bytes(16)})
        assert (await peer.receive())["code"] == "unknown"


async def test_what_the_wallets_of_one_socket_say_is_stored_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    write = distributor_hub.current().answers._write

    def counting(items: Any) -> Any:
        batches.append(len(items))
        return write(items)

    monkeypatch.setattr(distributor_hub.current().answers, "_write", counting)
    async with Peer(WalletConsumer) as peer:
        await peer.greet()
        for number in range(60):
            await peer.send({"t": "accept", "id": number.to_bytes(16, "big")})
        for _ in range(60):
            assert (await peer.receive())["code"] == "unknown"
    assert sum(batches) == 60
    assert len(batches) < 20


async def test_a_socket_whose_answer_cannot_be_stored_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> Any:
        raise OSError("the disk is full")

    monkeypatch.setattr(distributor_hub.current().answers, "_write", broken)
    async with Peer(WalletConsumer) as peer:
        await peer.greet()
        await peer.send({"t": "accept", "id": bytes(16)})
        ended = await peer.socket.receive_output(timeout=3)
        assert (ended["type"], ended["code"]) == ("websocket.close", distributor_consumers.FAILED)


async def test_a_socket_with_too_many_answers_that_are_not_stored_is_not_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributor_consumers, "ANSWERS_AT_ONCE", 3)
    stored: list[asyncio.Future[None]] = []

    def waits(_: Any) -> asyncio.Future[None]:
        stored.append(asyncio.get_running_loop().create_future())
        return stored[-1]

    monkeypatch.setattr(distributor_hub.current().answers, "add", waits)
    async with Peer(WalletConsumer) as peer:
        await peer.greet()
        for number in range(5):
            await peer.send({"t": "accept", "id": number.to_bytes(16, "big")})
        await asyncio.sleep(0.2)
        assert len(stored) == 3
        stored[1].set_result(None)
        await asyncio.sleep(0.2)
        assert len(stored) == 4


async def test_nothing_comes_between_the_frames_that_wait_for_many(world: World) -> None:
    hub, made = distributor_hub.current(), [0]

    class Socket:
        def __init__(self) -> None:
            self.keys: set[str] = set()
            self.sent: set[tuple[str, int, str]] = set()

        async def push(self, frame: Any) -> None:
            made[0] += 1

    async def watch() -> list[int]:
        seen = []
        while made[0] < 1000:
            await asyncio.sleep(0)
            seen.append(made[0])
        return seen

    watching = asyncio.ensure_future(watch())
    await asyncio.sleep(0.01)
    stand_in: Any = Socket()
    hub._by_key["00"] = [stand_in]
    await hub._send(Waiting(key="00", mark=("mail", n, ""), make=lambda: b"x") for n in range(1000))
    del hub._by_key["00"]
    assert set(await watching) == {0, 1000}


async def test_a_socket_takes_no_more_keys_than_one_may_serve(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributor_consumers, "MAX_KEYS", 3)
    async with Peer(WalletConsumer) as peer:
        for number in range(4):
            secret = signing.generate(os.urandom)
            (kind, public, proof) = peer.hello(secret)["keys"][0]
            if number == 0:
                await peer.send(peer.hello(secret))
                assert (await peer.receive())["t"] == "welcome"
            else:
                await peer.send({"t": "bind", "kind": kind, "public": public, "sig": proof})
        await peer.refused("too_many_keys")


async def test_a_given_up_socket_that_is_heard_late_does_not_take_the_wallet_along(world: World) -> None:
    secret = signing.generate(os.urandom)
    key = signing.public_key(secret).hex()

    def post(ref: str) -> None:
        routes.add_mailbox(key=key)
        routes.post_mail(key=key, ref=ref, kind="offer", body="{}", expires=distributor_config.now() + 60)

    async def online() -> bool:
        return key in await sync_to_async(presence.connected)()

    async with Peer(WalletConsumer) as given_up, Peer(WalletConsumer) as successor:
        await successor.send(successor.hello(secret))
        assert (await successor.receive())["t"] == "welcome"
        await given_up.send(given_up.hello(secret))
        assert (await given_up.receive())["t"] == "welcome"
        await given_up.socket.disconnect()
        await sync_to_async(post)("r")
        assert (await successor.receive())["t"] == "mail"
        await asyncio.sleep(0.4)  # longer than it takes to write who has gone
        assert await online()
    for _ in range(50):
        if not await online():
            break
        await asyncio.sleep(0.1)
    assert not await online()


async def test_a_wallet_that_stops_answering_the_heartbeat_is_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await distributor_hub.close()
    monkeypatch.setattr(distributor_config, "HEARTBEAT_SECONDS", 1)
    secret = signing.generate(os.urandom)
    async with Peer(WalletConsumer) as peer:
        await peer.send(peer.hello(secret))
        await peer.receive()
        first = await peer.receive()
        await peer.send({"t": "pong", "n": first["n"]})
        assert (await peer.receive())["t"] == "ping"
        assert (await peer.socket.receive_output(timeout=3))["type"] == "websocket.close"

    async def away() -> bool:
        return await sync_to_async(Presence.objects.filter(connected=False).exists)()

    await world.until(away)


async def test_a_wallet_whose_answer_is_still_being_written_is_heard(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand enrolments take longer than a heartbeat: a pong must not lie unread behind an answer, or its wallet is cut off."""
    await distributor_hub.close()
    monkeypatch.setattr(distributor_config, "HEARTBEAT_SECONDS", 1)
    async with Peer(WalletConsumer) as peer:
        await peer.send(peer.hello(signing.generate(os.urandom)))
        await peer.receive()
        answers, written = distributor_hub.current().answers, asyncio.Event()
        add = answers.add

        async def later(answer: Any) -> None:
            await written.wait()
            await add(answer)

        def slow(answer: Any) -> asyncio.Future[None]:
            return asyncio.ensure_future(later(answer))

        monkeypatch.setattr(answers, "add", slow)
        await peer.send({"t": "decline", "id": bytes(16)})
        for _ in range(3):
            ping = await peer.receive()
            assert ping["t"] == "ping"
            await peer.send({"t": "pong", "n": ping["n"]})
        written.set()
        assert (await peer.receive())["code"] == "unknown"


async def test_round_messages_must_be_sealed_to_this_aggregator(world: World) -> None:
    async with Peer(RoundConsumer) as peer:
        await peer.send({"t": "join"})
        await peer.refused("not_sealed")
    async with Peer(RoundConsumer) as peer:
        await peer.seal({"t": "join"}, key=sealing.public_key(sealing.generate(os.urandom)))
        await peer.refused("cannot_unseal")
    for message, code in (
        ([1], "bad_frame"),
        ({"t": "x"}, "bad_frame"),
        ({"t": "receipt", "m": b""}, "out_of_order"),
    ):
        async with Peer(RoundConsumer) as peer:
            await peer.seal(message)
            await peer.refused(code)


async def test_only_the_cohort_may_join_and_only_with_its_own_key(world: World) -> None:
    secret = signing.generate(os.urandom)
    async with Peer(RoundConsumer) as peer:
        body = {
            "nonce": peer.challenge["nonce"],
            "time": peer.challenge["time"],
            "server": peer.challenge["key"],
            "job": bytes(16),
            "round": 1,
        }
        join = {"t": "join", "job": bytes(16), "round": 1, "job_key": signing.public_key(secret)}
        await peer.seal(join | {"sig": signing.sign(secret, b"cssi/v1/join", body)})
        await peer.refused("not_in_cohort")
    async with Peer(RoundConsumer) as peer:
        await peer.seal(join | {"sig": bytes(64)})
        await peer.refused("bad_signature")


async def put(world: World, path: str, body: Any, **headers: str) -> tuple[int, str]:
    answer = await world.client.put(world.http + path, content=body, headers=headers)
    return answer.status_code, answer.json().get("code", "") if answer.content else ""


async def test_uploads_are_judged_by_token_and_size_before_they_are_read(world: World) -> None:
    await world.enrol(12, scripts={0: {"hold_before": "masked_input"}})
    await world.open_round(1, cohort=12, bucket_size=12)
    await world.until(lambda: _held(world))
    async with asyncio.timeout(10):
        while not (slots := [path for path in _slots(world) if path]):
            await asyncio.sleep(0.05)
    path = slots[0]
    assert await put(world, "/aggregator/slots/1-1-" + "0" * 40, b"x") == (404, "unknown_slot")
    assert await put(world, path[:-1] + ("0" if path[-1] != "0" else "1"), b"x") == (404, "unknown_slot")
    assert await put(world, path, b"x") == (413, "wrong_size")
    assert await put(world, path, bytes(200 + 40 * 4)) == (400, "cannot_unseal")

    async def drip() -> Any:
        yield b"x"

    assert (await put(world, path, drip()))[0] == 411
    assert (await world.client.get(world.http + path)).status_code == 405
    world.wallets[0].released.set()
    assert (await world.over(1))["survivors"] == 12
    assert await put(world, path, bytes(200 + 40 * 4)) == (410, "phase_over")


async def _held(world: World) -> bool:
    return world.wallets[0].held.is_set()


def _slots(world: World) -> list[str]:
    return [wallet.slot for wallet in world.wallets[:1]]


async def test_a_second_different_input_is_refused_and_the_same_one_is_not_counted_twice(
    world: World,
) -> None:
    await world.enrol(12, scripts={0: {"uploads": "twice"}, 1: {"uploads": "two"}})
    await world.open_round(1, cohort=12, bucket_size=12)
    assert (await world.over(1))["survivors"] == 12
    assert world.wallets[0].uploaded == [201, 200]
    assert world.wallets[1].uploaded == [201, 409]


async def test_payout_openings_are_sealed_signed_and_stored_once(world: World) -> None:
    secret = signing.generate(os.urandom)
    path = "/aggregator/payout-openings"

    def sealed(address: bytes) -> bytes:
        message = PayoutOpening.sign(secret, address=address, salt=bytes(32), agreement_hash=bytes(32))
        return sealing.seal(world.seal_key, b"cssi/v1/payout-opening", message.to_bytes(), os.urandom)

    assert await put(world, path, sealed(b"\x01" * 20)) == (201, "")
    assert await put(world, path, sealed(b"\x01" * 20)) == (200, "")
    assert await put(world, path, sealed(b"\x02" * 20)) == (409, "conflict")
    assert await put(world, path, b"junk") == (400, "cannot_unseal")
    assert await put(world, path, bytes(5000)) == (413, "too_large")
    assert await sync_to_async(models.PayoutAddress.objects.count)() == 1


async def test_payloads_need_their_token_and_end_with_the_round(world: World) -> None:
    answer = await world.client.get(f"{world.http}/wallets/payload/{'0' * 64}?token=x")
    assert answer.status_code == 404
    await world.enrol(12)
    await world.open_round(1, cohort=12, bucket_size=12)
    await world.over(1)
    frame = next(frame for frame in world.wallets[0].frames if frame["t"] == "deliver")
    url = world.http + frame["payload_url"]
    assert (await world.client.get(f"{url}?token={frame['payload_token']}")).status_code == 200
    assert (await world.client.get(f"{url}?token={'0' * 64}")).status_code == 404
    assert (await world.client.get(url)).status_code == 404
    await world.ok("collectives", "DELETE", f"/internal/distributor/jobs/{world.job_id}")
    assert (await world.client.get(f"{url}?token={frame['payload_token']}")).status_code == 404
