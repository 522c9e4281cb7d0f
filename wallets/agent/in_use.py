"""Who uses a wallet's folder: any number of processes share it, and one that exchanges its key or deletes it has it alone.

flock(2) on a file beside the store. The kernel gives the lock back when a process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wallets.agent.errors import StoreError

LOCK = "use.lock"


class SharedUse:
    """Held while a store's database is open. Taking it twice, or giving it back twice, changes nothing."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK
        self._handle: int | None = None

    def take(self) -> None:
        """Raises StoreError (store_busy) while another process has the wallet alone."""
        if self._handle is None:
            self._handle = _locked(self._path, fcntl.LOCK_SH)

    def give_back(self) -> None:
        """Others may have it alone again."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Have the wallet for oneself. Raises StoreError (store_busy) while any other process, or store here, has it open."""
    handle = _locked(directory / LOCK, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(handle)


def _locked(path: Path, how: int) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise StoreError(
            "Another process uses this wallet now. Stop it (`lock` does that) and try again.",
            code="store_busy",
        ) from None
    return handle
