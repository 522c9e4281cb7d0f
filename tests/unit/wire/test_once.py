from __future__ import annotations

import pytest

from aggregation.wire.once import Remembered, always


class Work:
    def __init__(self, result: int) -> None:
        self.result, self.times = result, 0

    def __call__(self) -> int:
        self.times += 1
        if self.result < 0:
            raise ValueError("negative")
        return self.result


def test_the_same_work_is_done_once_and_other_work_is_done() -> None:
    once, one, two = Remembered(10), Work(1), Work(2)
    assert [once(("n", 1), one), once(("n", 1), one), once(("n", 2), two)] == [1, 1, 2]
    assert (one.times, two.times) == (1, 1)


def test_the_least_recently_used_result_goes_first() -> None:
    once, works = Remembered(2), [Work(n) for n in range(3)]
    for n in (0, 1, 0, 2, 0, 1):
        assert once((n,), works[n]) == n
    assert [work.times for work in works] == [1, 2, 1]
    assert len(once) == 2


def test_what_fails_is_tried_again() -> None:
    once, work = Remembered(10), Work(-1)
    for _ in range(2):
        with pytest.raises(ValueError, match="negative"):
            once(("n",), work)
    assert work.times == 2
    assert len(once) == 0


def test_nothing_is_remembered_where_nothing_is_to_be() -> None:
    work = Work(1)
    assert [always(("n",), work), always(("n",), work)] == [1, 1]
    assert work.times == 2
