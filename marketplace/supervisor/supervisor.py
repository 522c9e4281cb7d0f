"""Keeps the parts running until told to stop; one supervisor per state folder."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from marketplace.supervisor.process import Part

Say = Callable[[str], None]


class AlreadyRunningError(RuntimeError):
    """Another supervisor holds the state folder."""


class Supervisor:
    """Starts parts in order, restarts what dies, stops in the reverse of need: pages, workers, chain, broker.

    Args:
        parts: in start order.
        lock_file: held exclusively while this supervisor lives.
        say: takes one line for the person watching.
    """

    STOP_FIRST, STOP_LAST = ("web",), ("chain", "broker")

    def __init__(self, parts: Sequence[Part], *, lock_file: Path, say: Say) -> None:
        self.parts = list(parts)
        self._say = say
        self._lock_path = lock_file
        self._lock: IO[str] | None = None
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None

    def part(self, name: str) -> Part:
        return next(part for part in self.parts if part.name == name)

    def take_lock(self) -> None:
        self._lock_path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self._lock_path.open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunningError(
                f"Something already runs on {self._lock_path.parent}. Stop it, or choose another folder with CSSI_VAR."
            ) from error

    def start(self, *names: str) -> None:
        """Start the named parts (all when none is named) side by side, and wait until each answers.

        Raises:
            RuntimeError: one of them ended or did not answer in time.
        """
        wanted = self.launch(*names)
        for part in wanted:
            part.wait_ready()
            self._say(f"{part.name} is up (pid {part.pid})")

    def launch(self, *names: str) -> list[Part]:
        """Start the named parts without waiting; a later `start` of the same names waits for them."""
        wanted = [part for part in self.parts if not names or part.name in names]
        for part in wanted:
            if not part.alive():
                part.start()
        return wanted

    def watch(self) -> None:
        """Restart what dies, until `stop`. Blocks."""
        while not self._stopping.wait(0.2):
            for part in self.parts:
                if part.process is not None and not part.alive():
                    delay = part.note_death()
                    self._say(f"{part.name} died; starting it again in {delay:.1f} s")
                elif part.process is None and part.started_at and time.monotonic() >= part.not_before:
                    part.restart()

    def watch_in_background(self) -> None:
        self._watcher = threading.Thread(target=self.watch, name="supervisor", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join(5)
        order = (*self.STOP_FIRST, "", *self.STOP_LAST)
        for part in sorted(self.parts, key=lambda part: order.index(part.name if part.name in order else "")):
            part.stop()
        if self._lock is not None:
            self._lock.close()
