"""The demo's side of a wallet host: a child process that is told things in JSON lines and reports events.

The demo may not import an agent (door 7); it starts `python -m wallets.host`, the same program anybody could run to keep
wallets, and knows of its wallets only what that program says.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol


class HostError(RuntimeError):
    """A host refused a command or ended; the sentence says which and why."""


class HostProcess:
    """One running host. Commands may be sent from several threads; each waits for its own reply."""

    def __init__(self, *, directory: Path, arguments: Sequence[str], log: Path) -> None:
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._events: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._ready = threading.Event()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "wallets.host", "--directory", str(directory), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"},
                text=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_ready(self, seconds: float = 60) -> None:
        if not self._ready.wait(seconds):
            raise HostError("A wallet host did not start; its log says why.")

    def call(self, cmd: str, *, within: float = 600, **fields: Any) -> dict[str, Any]:
        """Send one command and wait so many seconds for its reply. Everything else is a field of the command.

        Raises:
            HostError: the host refused it, ended, or did not answer in time.
        """
        ident = next(self._ids)
        reply: Future[dict[str, Any]] = Future()
        with self._lock:
            self._waiting[ident] = reply
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(json.dumps({"id": ident, "cmd": cmd, **fields}) + "\n")
                self._process.stdin.flush()
            except OSError as error:
                raise HostError("A wallet host has ended; its log says why.") from error
        try:
            answer = reply.result(within)
        except TimeoutError as error:
            raise HostError(f"A wallet host did not answer {cmd!r} within {within:.0f} s.") from error
        if not answer["ok"]:
            raise HostError(f"A wallet host refused {cmd!r}: {answer['code']}, {answer['detail']}")
        return answer

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of one name so far."""
        return list(self._events[name])

    def counts(self) -> dict[str, int]:
        return {name: len(found) for name, found in self._events.items()}

    def stop(self) -> None:
        if self._process.poll() is None:
            try:
                self.call("stop", within=5)
                self._process.wait(10)
            except (HostError, subprocess.TimeoutExpired):
                self._process.kill()
                self._process.wait(5)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            name = event.get("event", "")
            if name == "reply":
                with self._lock:
                    waiting = self._waiting.pop(event["id"], None)
                if waiting is not None:
                    waiting.set_result(event)
            else:
                self._events[name].append(event)
                if name == "ready":
                    self._ready.set()
        code = self._process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        with self._lock:
            ended = HostError(f"A wallet host has ended ({how}); its log says why.")
            for waiting in self._waiting.values():
                waiting.set_exception(ended)
            self._waiting.clear()


class AnyHost(Protocol):
    """What a demo asks of whoever keeps wallets: a host process, or a browser with tabs."""

    def call(self, cmd: str, **fields: Any) -> dict[str, Any]: ...
    def events(self, name: str) -> list[dict[str, Any]]: ...
    def stop(self) -> None: ...


class Hosts:
    """All hosts of a demo; wallet number n lives in host n mod len(hosts), unless it lives in a tab."""

    def __init__(self, hosts: Sequence[HostProcess]) -> None:
        self.all = list(hosts)
        self.tabs: AnyHost | None = None
        self._names: dict[int, tuple[AnyHost, str]] = {}

    def create(self, records: Sequence[dict[str, Any]], folder: Path, *, first: int = 0) -> None:
        """Make one wallet per record from number `first` on, spread over the hosts."""
        shares = [
            list(range(start, len(records), len(self.all))) for start in range(first, first + len(self.all))
        ]

        def one(host: HostProcess, numbers: list[int], file: Path) -> None:
            file.write_text("\n".join(json.dumps(records[n]) for n in numbers), encoding="utf-8")
            try:
                names = host.call("create", records=str(file))["wallets"]
            finally:
                file.unlink()
            self._names.update({number: (host, name) for number, name in zip(numbers, names, strict=True)})

        with ThreadPoolExecutor(len(self.all)) as pool:
            jobs = [
                pool.submit(one, host, share, folder / f"records-{i}.jsonl")
                for i, (host, share) in enumerate(zip(self.all, shares, strict=True))
            ]
            for job in jobs:
                job.result()

    def create_in(self, tabs: AnyHost, names: Sequence[str]) -> None:
        """The first wallets of all live in tabs, under these names."""
        self.tabs = tabs
        self._names.update({number: (tabs, name) for number, name in enumerate(names)})

    @property
    def everyone(self) -> list[AnyHost]:
        """Whoever keeps wallets of this demo."""
        return [*self.all, *([self.tabs] if self.tabs else [])]

    def in_tabs(self) -> list[int]:
        """Numbers of the wallets in tabs."""
        return [number for number, (host, _) in self._names.items() if host is self.tabs]

    def of(self, number: int) -> tuple[AnyHost, str]:
        return self._names[number]

    def call(self, number: int, cmd: str, **fields: Any) -> dict[str, Any]:
        """A command about one wallet."""
        host, name = self.of(number)
        return host.call(cmd, wallet=name, **fields)

    def number_of(self, host: AnyHost, name: str) -> int:
        return next(n for n, (h, w) in self._names.items() if h is host and w == name)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for host in self.all for event in host.events(name)]

    def stop(self) -> None:
        for host in self.everyone:
            host.stop()
