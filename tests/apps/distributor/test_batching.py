"""What many sockets say at once: written in few batches, each heard by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from wallets.distributor.batching import (
    CROWD,
    GATHER_SECONDS,
    LARGE,
    LONGEST_PAUSE,
    Batcher,
    DatabaseThread,
    pause_after,
)


def test_the_pause_follows_the_load() -> None:
    assert pause_after(1, 0.0) == GATHER_SECONDS
    assert pause_after(1, 0.03) == 0.03
    assert pause_after(LARGE, 0.03) == 0.06
    assert pause_after(LARGE, 9.0) == 2 * LONGEST_PAUSE


def test_a_crowd_is_gathered_longer_where_nobody_waits_and_one_who_comes_alone_is_not() -> None:
    assert pause_after(CROWD - 1, 0.0, crowd_pause=0.2) == GATHER_SECONDS
    assert pause_after(CROWD, 0.0, crowd_pause=0.2) == 0.2
    assert pause_after(LARGE, 9.0, crowd_pause=0.01) == 2 * LONGEST_PAUSE


def test_a_crowd_that_keeps_coming_is_written_in_few_batches_and_each_hears_its_own() -> None:
    batches: list[int] = []

    def write(items: Sequence[int]) -> list[int | Exception]:
        batches.append(len(items))
        return [ValueError(item) if item == 13 else -item for item in items]

    async def come() -> list[int | BaseException]:
        thread = DatabaseThread("test-batching")
        batcher: Batcher[int, int] = Batcher(thread, write, crowd_pause=1.0)
        waiting = []
        for burst in range(10):  # further apart than what is gathered for one who is alone
            waiting += [batcher.add(number) for number in range(10 * burst, 10 * burst + 10)]
            await asyncio.sleep(1.5 * GATHER_SECONDS)
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        await thread.close()
        return answers

    answers = asyncio.run(come())
    assert sum(batches) == 100
    assert len(batches) <= 3, batches
    assert isinstance(answers.pop(13), ValueError)
    assert answers == [-number for number in range(100) if number != 13]
