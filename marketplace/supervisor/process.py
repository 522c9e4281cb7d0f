"""One supervised child process: started in its own group, dying with its parent, restarted with back-off.

A part that dies takes what is left of its process group along before it is started again, so that no orphan pool
child keeps writing. On Linux the child asks the kernel to kill it when the supervisor dies, even by `kill -9`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
FIRST_DELAY, LONGEST_DELAY = 0.2, 10.0
HEALTHY_AFTER = 20.0
"""Seconds a part must live before its next death counts as the first again."""


def die_with_parent() -> None:  # pragma: no cover - runs between fork and exec
    with contextlib.suppress(Exception):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass(kw_only=True)
class Part:
    """What to run and how to know that it answers."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    ready: Callable[[], bool]
    ready_within: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within: float = 8.0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    started_at: float = field(default=0.0, init=False)
    deaths: int = field(default=0, init=False)
    restarts: int = field(default=0, init=False)
    not_before: float = field(default=0.0, init=False)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own commands
                list(self.command),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl call, no thread of ours is running yet
            )
        self.started_at = time.monotonic()

    def wait_ready(self, tick: Callable[[], None] = lambda: None) -> None:
        """Block until the part answers.

        Raises:
            RuntimeError: it died or did not answer in time; names the log to read.
        """
        limit = time.monotonic() + self.ready_within
        while not self.ready():
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended while starting; its log is {self.log}")
            if time.monotonic() > limit:
                raise RuntimeError(
                    f"{self.name} did not answer within {self.ready_within:.0f} s; see {self.log}"
                )
            tick()
            time.sleep(0.05)

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def note_death(self) -> float:
        """Reap a dead part and what is left of its group; returns the seconds to wait before a restart."""
        self._signal_group(signal.SIGKILL)
        if time.monotonic() - self.started_at > HEALTHY_AFTER:
            self.deaths = 0
        self.deaths += 1
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** (self.deaths - 1))
        self.not_before = time.monotonic() + delay
        self.process = None
        return delay

    def restart(self) -> None:
        self.restarts += 1
        self.start()

    def stop(self) -> None:
        """Ask it to stop, then insist; returns when the whole group is gone."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(self.stop_within)
        self._signal_group(signal.SIGKILL)
        self.process.wait(5)
        self.process = None

    def _signal_group(self, number: signal.Signals) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)
