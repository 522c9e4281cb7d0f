"""Masked inputs through the real server: added as they arrive, bounded in memory and on disk, and nobody blocks the others."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from asgiref.sync import sync_to_async

from aggregation.server import config, frames, models
from aggregation.server import hub as hubs
from aggregation.server.services import folding, steps
from aggregation.server.services.spool import is_running_sum
from aggregation.server.slots import SlotApp
from aggregation.server.states import Step
from aggregation.server.uploads import Turns
from aggregation.wire import sealing
from tests.apps.roles.world import World

pytestmark = pytest.mark.django_db(transaction=True, databases=["distributor", "aggregator"])


@pytest.fixture(autouse=True)
def short_grace_and_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "GRACE_SECONDS", 0.6)
    monkeypatch.setattr(config, "RESTART_GRACE_SECONDS", 5.0)
    monkeypatch.setattr(config, "FOLD_BYTES", 0)
    monkeypatch.setattr(config, "SMALL_INPUT", 0)  # a file for each, as of longer vectors


async def stored_files() -> list[str]:
    return await sync_to_async(lambda: list(models.MaskedInput.objects.values_list("file", flat=True)))()


async def held(world: World, wallets: range) -> None:
    async def everyone() -> bool:
        return all(world.wallets[i].held.is_set() for i in wallets)

    await world.until(everyone, 60)


@pytest.mark.parametrize("together", [False, True])
async def test_inputs_are_added_while_others_are_still_awaited_and_a_kill_loses_none(
    world: World, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    monkeypatch.setattr(config, "FOLD_AT", 3)
    monkeypatch.setattr(config, "SMALL_INPUT", 1 << 14 if together else 0)
    await world.enrol(24, scripts={i: {"hold_before": "masked_input"} for i in range(2)})
    await world.open_round(1, cohort=24)

    async def folded() -> bool:
        """All who may have uploaded; in each bucket fewer than FOLD_AT wait, however they arrived."""
        names = await stored_files()
        buckets = await sync_to_async(models.Bucket.objects.count)()
        return len(names) == 22 and sum(map(is_running_sum, names)) >= 22 - 2 * buckets

    await world.until(folded, 60)
    buckets = await sync_to_async(models.Bucket.objects.count)()
    # Together: a running sum for each bucket, and one file of what is not in it. Apart: a running sum and fewer than FOLD_AT inputs for each.
    most = buckets + 1 if together else buckets * 3

    async def as_few_files_as_needed() -> bool:
        """Every named file is there, and what a new sum has taken the place of is gone; that is a moment after it got its name."""
        names = await stored_files()
        kept = [path.name for folder in config.spool().iterdir() for path in folder.iterdir()]
        return {name.partition("@")[0] for name in names} <= set(kept) and len(kept) <= most

    await world.until(as_few_files_as_needed, 20)
    await world.kill_web()
    await world.start_web()
    for i in range(2):
        world.wallets[i].released.set()
    state = await world.over(1)
    assert (state["state"], state["survivors"]) == ("released", 24), state
    total, count = await world.sum(1)
    assert count == 24
    assert np.array_equal(total, world.plain_sum(1, world.wallets))


async def test_two_processes_that_add_the_same_inputs_count_them_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one adds while the first is writing; the first notices, and its file is gone."""
    monkeypatch.setattr(config, "FOLD_AT", 1000)
    await world.enrol(12, scripts={0: {"hold_before": "masked_input"}})
    await world.open_round(1, cohort=12, bucket_size=12)

    async def eleven() -> bool:
        return len(await stored_files()) == 11

    await world.until(eleven, 60)
    monkeypatch.setattr(config, "FOLD_AT", 2)
    write, seconds = folding._write, []

    def raced(path: Any, total: Any) -> None:
        write(path, total)
        if not seconds:
            seconds.append(0)
            seconds[0] = folding.fold(round_id)

    monkeypatch.setattr(folding, "_write", raced)
    round_id = await sync_to_async(lambda: models.Round.objects.get().pk)()
    assert await sync_to_async(folding.fold)(round_id) == 0
    assert seconds == [11]
    assert await sync_to_async(folding.fold)(round_id) == 0
    names = set(await stored_files())
    assert len(names) == 1
    assert [path.name for path in (config.spool() / str(round_id)).iterdir()] == list(names)
    world.wallets[0].released.set()
    assert (await world.over(1))["survivors"] == 12
    total, count = await world.sum(1)
    assert count == 12
    assert np.array_equal(total, world.plain_sum(1, world.wallets))


@pytest.mark.parametrize("together", [False, True])
async def test_an_input_that_comes_again_takes_no_room_and_files_go_with_their_phase(
    world: World, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    monkeypatch.setattr(config, "FOLD_AT", 1000)
    monkeypatch.setattr(config, "SMALL_INPUT", 1 << 14 if together else 0)
    await world.enrol(12, scripts={i: {"hold_before": "masked_input"} for i in range(12)})
    await world.open_round(1, cohort=12, bucket_size=12)
    await held(world, range(12))
    bodies = [(wallet.slot, sealed_body(world, wallet)) for wallet in world.wallets[1:]]
    assert [await put_directly(*one) for one in bodies] == [201] * 11
    (folder,) = (path for path in config.spool().iterdir() if path.is_dir())
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size == sum(path.stat().st_size for _, path in bodies)
    assert len(list(folder.iterdir())) == (1 if together else 11)
    assert [await put_directly(*one) for one in bodies] == [200] * 11
    assert size == sum(path.stat().st_size for path in folder.iterdir())
    slot, path = bodies[0]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert await put_directly(slot, path) == 400
    assert size == sum(path.stat().st_size for path in folder.iterdir())
    for wallet in world.wallets:
        wallet.released.set()
    assert (await world.over(1))["survivors"] == 12
    assert not [path for path in folder.glob("*") if not path.name.endswith(".sum")]
    total, _ = await world.sum(1)
    assert np.array_equal(total, world.plain_sum(1, world.wallets))


async def test_half_sent_and_dripping_uploads_do_not_block_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three wallets hold all three turns with bodies they never finish; the other 21 are stored meanwhile."""
    monkeypatch.setattr(config, "UPLOAD_PATIENCE_SECONDS", 0.2)
    hubs.current().turns = Turns(3)
    slow = range(3)
    await world.enrol(24, scripts={i: {"hold_before": "masked_input"} for i in range(24)})
    await world.open_round(1, cohort=24)
    await held(world, range(24))
    attackers = [asyncio.create_task(half_upload(world, world.wallets[i].slot)) for i in slow]
    await world.until(lambda: _running(3))
    began = asyncio.get_running_loop().time()
    for i in range(3, 24):
        world.wallets[i].released.set()

    async def all_but_three() -> bool:
        return len(await stored_files()) == 21

    await world.until(all_but_three, 20)
    assert asyncio.get_running_loop().time() - began < 10
    for task in attackers:
        task.cancel()
    await asyncio.gather(*attackers, return_exceptions=True)
    for i in slow:
        world.wallets[i].released.set()
    assert (await world.over(1))["survivors"] == 24


async def _running(count: int) -> bool:
    return hubs.current().turns.running == count


async def half_upload(world: World, path: str) -> None:
    """A request that announces a whole body, then drips a byte now and then, again and again."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        size = 4 * (world.d + 2) + 300
        writer.write(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        try:
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.1)
        except OSError:
            continue
        finally:
            writer.close()


class Peak:
    """What Python allocated at most while something ran, in bytes above what there was."""

    def __init__(self) -> None:
        self.peaks: dict[str, int] = {}

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*args: Any) -> Any:
            tracemalloc.start()
            try:
                return call(*args)
            finally:
                self.peaks[name] = max(self.peaks.get(name, 0), tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()

        return measured


@pytest.mark.timeout(300)
async def test_a_round_needs_less_than_eight_vectors_of_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 wallets in two buckets, d = 300,000: taking and adding up every input, and the whole unmasking."""
    peak = Peak()
    for step in (Step.SUMMING, Step.UNMASKING):
        monkeypatch.setitem(steps._COMPUTE, step, peak.around(step.value, steps._COMPUTE[step]))
    world.d = 300_000
    await world.enrol(20, scripts={i: {"hold_before": "masked_input"} for i in range(20)})
    await world.open_round(1, cohort=20, seconds=120)
    await held(world, range(20))
    vector = 4 * (world.d + 2)
    bodies = {wallet.slot: sealed_body(world, wallet) for wallet in world.wallets}
    last = bodies.pop(world.wallets[0].slot)
    tracemalloc.start()
    answers = await asyncio.gather(*(put_directly(slot, path) for slot, path in bodies.items()))
    while hubs.current().folding._running:
        await asyncio.sleep(0.02)
    peak.peaks["uploads"] = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert set(answers) == {201}
    await release(world, world.wallets[1:])
    assert await put_directly(world.wallets[0].slot, last) == 201
    await world.until(
        lambda: _has(peak, "summing"), 60
    )  # the wallets' own vectors are not the server's memory
    await release(world, world.wallets[:1])
    assert (await world.over(1, 120))["survivors"] == 20
    vectors = {name: round(size / vector, 2) for name, size in peak.peaks.items()}
    assert vectors.keys() == {"uploads", "summing", "unmasking"}
    assert max(vectors.values()) < 8, vectors
    print("vectors of d:", vectors)


async def _has(peak: Peak, name: str) -> bool:
    return name in peak.peaks


async def release(world: World, wallets: list[Any]) -> None:
    """These wallets send what is stored already, and are quiet again when this returns."""
    for wallet in wallets:
        wallet.released.set()

    async def answered() -> bool:
        return all(wallet.stored for wallet in wallets)

    await world.until(answered, 60)


def sealed_body(world: World, wallet: Any) -> Any:
    path = config.spool() / f"body-{wallet.number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    assert wallet.input is not None
    path.write_bytes(sealing.seal(world.seal_key, b"cssi/v1/slot", wallet.input, os.urandom))
    return path


async def put_directly(slot: str, path: Any) -> int:
    """The ASGI application with a body read from a file piece by piece, as a server would hand it on."""
    source, status = path.open("rb"), []
    left = path.stat().st_size

    async def receive() -> dict[str, Any]:
        nonlocal left
        await asyncio.sleep(0)
        piece = source.read(65536)
        left -= len(piece)
        return {"type": "http.request", "body": piece, "more_body": left > 0}

    async def send(message: Any) -> None:
        if "status" in message:
            status.append(message["status"])

    headers = [(b"content-length", str(left).encode())]
    await SlotApp()({"type": "http", "method": "PUT", "path": slot, "headers": headers}, receive, send)
    source.close()
    return int(status[0])


class Socket:
    """A wallet's connection as the hub knows it."""

    def __init__(self, seat: Any, *, reads: bool) -> None:
        self.seat, self.pushed, self.reads = seat, None, reads
        self.got: list[Any] = []
        self.dropped = asyncio.Event()

    async def push(self, frame: dict[str, Any]) -> None:
        if not self.reads:
            await asyncio.Event().wait()
        self.got.append(frame)

    def drop(self) -> None:
        self.dropped.set()


async def test_a_wallet_that_does_not_read_holds_up_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "PUSH_SECONDS", 0.2)
    monkeypatch.setattr(
        frames,
        "frames_for",
        lambda round_id, people, *, came: (Step.CONSISTENCY, {p: [{"t": "secagg"}] for p in people}),
    )
    hub = hubs.current()
    deaf, other = Socket(None, reads=False), Socket(None, reads=True)
    hub._seated = {1: deaf, 2: other}
    await hub._push(7, [1, 2])
    async with asyncio.timeout(0.15):
        while not other.got:
            await asyncio.sleep(0.01)
    assert not deaf.dropped.is_set()
    async with asyncio.timeout(2):
        await deaf.dropped.wait()
    hub._seated = {}
