"""Lock a running wallet: at the holder's word, or by itself after the holder did nothing for a while.

A locked wallet's agent has closed its store, overwritten its key and left the network; it answers nothing until the holder
unlocks it. `lock` needs no passphrase, so anyone at the keyboard may lock and only the holder unlock. Between processes a
file in the wallet's folder says it, and the time of the last use is the time of the use-lock file.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from wallets.agent.errors import StoreError
from wallets.agent.in_use import LOCK, alone

REQUEST = "locked"
GIVE_UP_SECONDS = 10.0
LOOK_SECONDS = 0.1


class AutoLock:
    """Watches one wallet's folder for whoever runs it. `idle_seconds` 0 means never by itself.

    `now` is unix seconds, as file times are.
    """

    def __init__(self, directory: Path, *, idle_seconds: int = 0) -> None:
        self._directory = directory
        self.idle_seconds = idle_seconds

    def begin(self) -> None:
        """The holder has just unlocked: forget older requests, count idle time from here."""
        (self._directory / REQUEST).unlink(missing_ok=True)
        touch(self._directory)

    def due(self, now: float) -> str | None:
        """Why the wallet must be locked now, as a fixed word: `asked`, `idle`; None when it need not."""
        if (self._directory / REQUEST).exists():
            return "asked"
        if self.idle_seconds and now - last_use(self._directory) >= self.idle_seconds:
            return "idle"
        return None


def touch(directory: Path) -> None:
    """Note that the holder did something now."""
    handle = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.utime(handle)
    finally:
        os.close(handle)


def last_use(directory: Path) -> float:
    """When the holder last did something, unix seconds; 0 for a wallet that was never used."""
    try:
        return (directory / LOCK).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def request(directory: Path, *, patience: float = GIVE_UP_SECONDS) -> bool:
    """Ask whoever runs this wallet to lock it; True when nobody has it open any more within `patience` seconds."""
    asked = directory / REQUEST
    os.close(os.open(asked, os.O_WRONLY | os.O_CREAT, 0o600))
    end = time.monotonic() + patience
    while True:
        try:
            with alone(directory):
                asked.unlink(missing_ok=True)
                return True
        except StoreError:
            if time.monotonic() >= end:
                return False
            time.sleep(LOOK_SECONDS)
