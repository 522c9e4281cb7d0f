"""Work whose result depends on its arguments alone, done once for many parties of one process.

A host of wallets is sent the same bytes for all members of a bucket, and each member looks at them for itself. Where the
looking is a function of the bytes (decoding them, checking a signature under a given key), the second look finds what
the first found; a party that has a process to itself forgets at once and does all of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar, cast

T = TypeVar("T")


class Once(Protocol):
    """`once(key, work)` is `work()`, where `key` holds everything the work depends on. What `work` raises is raised, and not remembered."""

    def __call__(self, key: tuple[Hashable, ...], work: Callable[[], T]) -> T: ...


def always(key: tuple[Hashable, ...], work: Callable[[], T]) -> T:
    """Remember nothing."""
    return work()


class Remembered:
    """Remembers the latest results. Two different kinds of work must not share a key, so a key begins with the work's name.

    Args:
        most: how many results are kept; the least recently used goes first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[tuple[Hashable, ...], object] = OrderedDict()

    def __call__(self, key: tuple[Hashable, ...], work: Callable[[], T]) -> T:
        try:
            found = self._found[key]
        except KeyError:
            found = self._found[key] = work()
            if len(self._found) > self._most:
                self._found.popitem(last=False)
        else:
            self._found.move_to_end(key)
        return cast("T", found)

    def __len__(self) -> int:
        return len(self._found)
