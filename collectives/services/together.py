"""Writing together what several threads want to write at once: one transaction, each answered by itself.

Whoever comes while nothing is written writes at once. While somebody writes, the others gather, and the first of them writes for
all. Under load a transaction's own cost, the queue for the one writer that SQLite has, and a statement's are shared by a handful.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class WriterEnded(RuntimeError):
    """The thread that wrote for others was ended meanwhile; whether it wrote is not known."""


@dataclass(eq=False)
class _Place(Generic[Item, Result]):
    item: Item
    results: list[Result | Exception] = field(default_factory=list)
    """Empty until it was written; then one."""


class Together(Generic[Item, Result]):
    """Hands items to `write(items) -> results`, one result per item; an exception is a result too.

    Args:
        write: commits before it returns. What it raises, everybody hears whose item it was given.
        most: how many items it is given at a time.
    """

    def __init__(
        self, write: Callable[[Sequence[Item]], Sequence[Result | Exception]], *, most: int = 100
    ) -> None:
        self._write = write
        self._most = most
        self._waiting: list[_Place[Item, Result]] = []
        self._gate = threading.Lock()
        self._turn = threading.Lock()

    def put(self, item: Item) -> Result:
        """The result for this item, after it was committed: by this thread or by another one.

        Raises:
            Exception: its result was one.
        """
        mine: _Place[Item, Result] = _Place(item)
        with self._gate:
            self._waiting.append(mine)
        while not mine.results:
            with self._turn:
                if not mine.results:
                    self._next()
        (result,) = mine.results
        if isinstance(result, Exception):
            raise result
        return result

    def _next(self) -> None:
        with self._gate:
            places, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        results: Sequence[Result | Exception] = [WriterEnded()] * len(places)
        try:
            results = self._write([place.item for place in places])
        except Exception as error:
            results = [error] * len(places)
        finally:
            for place, result in zip(places, results, strict=True):
                place.results.append(result)
