"""The hub: one per process. It knows this process's round sockets, stores what they say in batches, and sends what a step asks for.

One channel-layer membership serves the process. A wake-up names a round; the hub reads the database and speaks to its own
sockets of that round. It also looks by itself every second, so a lost wake-up or a killed broker only delays.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from channels.layers import get_channel_layer

from aggregation.server import config, frames, selectors, wakeups
from aggregation.server.batching import Batcher, DatabaseThread
from aggregation.server.models import Round
from aggregation.server.services import folding, ingest, payouts, seats
from aggregation.server.services.answered import Answered
from aggregation.server.services.ingest import Kind, Said, Seat
from aggregation.server.states import OVER, Step
from aggregation.server.uploads import Turns

logger = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
ALIVE_SECONDS = 2.0
REJOIN_SECONDS = 3600


class Connection(Protocol):
    """What the hub needs of a socket."""

    seat: Seat | None
    pushed: Step | None

    async def push(self, frame: dict[str, Any]) -> None: ...

    def drop(self) -> None: ...


class Folding:
    """Has a round's stored masked inputs added to its running sums while more arrive; one at a time, on the uploads' thread."""

    def __init__(self, uploads: DatabaseThread, spawn: Callable[[Any], None]) -> None:
        self._uploads = uploads
        self._spawn = spawn
        self._new: dict[int, tuple[int, int]] = {}
        """Round → inputs stored since the last look, and their bytes."""
        self._running: set[int] = set()

    def stored(self, round_id: int, size: int) -> None:
        """One more masked input of this round is stored."""
        count, length = self._new.get(round_id, (0, 0))
        self._new[round_id] = count + 1, length + size
        if self._enough(round_id) and round_id not in self._running:
            self._running.add(round_id)
            self._spawn(self._fold(round_id))

    def _enough(self, round_id: int) -> bool:
        count, length = self._new.get(round_id, (0, 0))
        return count >= config.FOLD_AT and length >= config.FOLD_BYTES

    async def _fold(self, round_id: int) -> None:
        try:
            while self._enough(round_id):
                del self._new[round_id]
                await self._uploads.run(folding.fold, round_id)
        except Exception as error:  # the end of the phase adds what was left
            logger.warning("masked inputs were not added early (%s)", type(error).__name__)
        finally:
            self._running.discard(round_id)

    def forget(self, round_id: int) -> None:
        """The round has no wallets here any more."""
        self._new.pop(round_id, None)


class Hub:
    def __init__(self) -> None:
        self.name = f"{os.getpid()}-{os.urandom(6).hex()}"
        self.thread = DatabaseThread("aggregator-hub")
        self.uploads = DatabaseThread("aggregator-uploads")
        self.answered = Answered(self._seats)
        self.ingest: Batcher[Said, str] = Batcher(self.thread, partial(ingest.record, answered=self.answered))
        self.joins: Batcher[seats.Join, Seat] = Batcher(self.thread, seats.join)
        self.payouts: Batcher[bytes, int] = Batcher(self.uploads, payouts.store)
        self._seated: dict[int, Connection] = {}
        self._rounds: dict[int, set[int]] = {}
        self._steps: dict[int, Step] = {}
        self._wakes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._last_gone: dict[int, float] = {}
        self._begun = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self.turns = Turns(config.UPLOADS_AT_ONCE)
        self.folding = Folding(self.uploads, self._spawn)

    def start(self) -> None:
        wakeups.listen(self._wakes.put_nowait)
        for loop in (self._listen, self._serve_wakes, self._look, self._show_alive):
            self._spawn(_forever(loop))

    async def stop(self) -> None:
        wakeups.unlisten(self._wakes.put_nowait)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.thread.close()
        await self.uploads.close()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # sockets

    async def seat(self, connection: Connection, seat: Seat) -> None:
        """This wallet is here now: send what the running step asks of it."""
        connection.seat, connection.pushed = seat, None
        self._seated[seat.participant] = connection
        self._rounds.setdefault(seat.round, set()).add(seat.participant)
        if seat.step is not Step.ADVERTISE:  # in its first phase a round has nothing to say yet
            self._spawn(self._push(seat.round, [seat.participant], came=True))

    def leave(self, connection: Connection) -> None:
        """The socket is closed. A wallet with a newer socket is not gone."""
        seat = connection.seat
        if seat is None or self._seated.get(seat.participant) is not connection:
            return
        del self._seated[seat.participant]
        over = self._steps.get(seat.round) in OVER
        people = self._rounds.get(seat.round, set())
        people.discard(seat.participant)
        if not people:
            self._rounds.pop(seat.round, None)
            self._steps.pop(seat.round, None)
            self.folding.forget(seat.round)
            self.answered.forget(seat.round)
        if not over:  # then nobody waits for it any more
            self._spawn(self._gone(seat))

    def _seats(self, round_id: int) -> set[int]:
        """A copy, for other threads."""
        return self._rounds.get(round_id, set()).copy()

    def seat_of(self, participant: int) -> Seat | None:
        connection = self._seated.get(participant)
        return connection.seat if connection is not None else None

    def step_of(self, round_id: int) -> Step | None:
        """The step this hub spoke to its wallets about last."""
        return self._steps.get(round_id)

    async def _gone(self, seat: Seat) -> None:
        await self.ingest.put(Said(kind=Kind.GONE, seat=seat))
        # The phase may have waited for this wallet alone: look again when its grace is over. A whole cohort goes at the end
        # of a round, so one look serves all that went meanwhile.
        watched = seat.round in self._last_gone
        self._last_gone[seat.round] = time.monotonic()
        if watched:
            return
        while (rest := self._last_gone[seat.round] + config.GRACE_SECONDS + 0.1 - time.monotonic()) > 0:
            await asyncio.sleep(rest)
        del self._last_gone[seat.round]
        await self.thread.run(wakeups.enqueue, "aggregator.step_round", seat.round)

    # wake-ups

    async def _listen(self) -> None:
        layer = get_channel_layer()
        if layer is None:
            await asyncio.sleep(REJOIN_SECONDS)
            return
        channel = await layer.new_channel()
        await layer.group_add(wakeups.GROUP, channel)
        try:
            async with asyncio.timeout(REJOIN_SECONDS):
                while True:
                    message = await layer.receive(channel)
                    if message.get("from") != wakeups.HERE:
                        self._wakes.put_nowait(message)
        except TimeoutError:
            await layer.group_discard(wakeups.GROUP, channel)

    async def _serve_wakes(self) -> None:
        rounds = {(await self._wakes.get()).get("round", 0)}
        while not self._wakes.empty():  # many wake-ups of one round are one look at it
            rounds.add(self._wakes.get_nowait().get("round", 0))
        selectors.changed.set()
        for round_id in rounds:
            people = self._rounds.get(round_id)
            if people:
                await self._push(round_id, list(people))

    async def _look(self) -> None:
        await asyncio.sleep(LOOK_SECONDS)
        if not self._rounds:
            return
        now = await self.thread.run(_steps_of, list(self._rounds))
        for round_id, step in now.items():
            if self._steps.get(round_id) is not step:
                await self._push(round_id, list(self._rounds.get(round_id, ())))

    async def _push(self, round_id: int, people: list[int], *, came: bool = False) -> None:
        step, answer = await self.thread.run(partial(frames.frames_for, came=came), round_id, people)
        self._steps[round_id] = step
        for participant, messages in answer.items():
            connection = self._seated.get(participant)
            if connection is None or not messages or _stale(connection.pushed, step):
                continue
            if messages[-1]["t"] == "done":
                self.answered.out(round_id, participant)
            connection.pushed = step
            self._spawn(_speak(connection, messages))

    async def _show_alive(self) -> None:
        if not self._begun:
            await self.thread.run(seats.begin)
            self._begun = True
        await self.thread.run(seats.show_alive, self.name)
        await asyncio.sleep(ALIVE_SECONDS)


async def _speak(connection: Connection, messages: list[dict[str, Any]]) -> None:
    """One wallet that does not read holds up nobody else, and not for long."""
    try:
        async with asyncio.timeout(config.PUSH_SECONDS):
            for message in messages:
                await connection.push(message)
    except TimeoutError:
        connection.drop()


def _stale(pushed: Step | None, step: Step) -> bool:
    return pushed is not None and (pushed is step or pushed in OVER or not frames.is_later(step, pushed))


def _steps_of(rounds: list[int]) -> dict[int, Step]:
    rows = Round.objects.filter(pk__in=rounds).values_list("pk", "step")
    return {pk: Step(step) for pk, step in rows}


async def _forever(step: Callable[[], Any]) -> None:
    pause = 0.1
    while True:
        try:
            await step()
            pause = 0.1
        except Exception as error:
            # Type only: a message of a database error could carry a key.
            logger.warning("the hub's %s failed (%s); tried again", step.__name__, type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(5.0, pause * 2)


_hub: Hub | None = None


def current() -> Hub:
    """This process's hub, started on first use."""
    global _hub
    if _hub is None:
        _hub = Hub()
        _hub.start()
    return _hub


async def close() -> None:
    global _hub
    hub, _hub = _hub, None
    if hub is not None:
        await hub.stop()
