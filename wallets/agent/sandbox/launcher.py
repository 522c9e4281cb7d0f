"""Start the torch parent, queue visits for it, and take back exactly one bounded answer per visit.

At most `slots` forks run at a time (the number of CPUs); the others wait here, in order. A visit that is cancelled (its
permit was deleted) has its process killed. If the parent itself dies it is started again for the next visit.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aggregation.wire import cbor
from wallets.agent.errors import SandboxError
from wallets.agent.sandbox import bubblewrap, probes
from wallets.agent.sandbox.faults import FAULT_OF_BYTE, fault
from wallets.agent.sandbox.lasting import LastingWorker
from wallets.agent.sandbox.policy import REQUIRED, Fault, Layer, Level, Limits
from wallets.agent.sandbox.worker import FINE, ORDER_BYTES

START_SECONDS = 60.0
GRACE_SECONDS = 2.0
LASTING_SECONDS, LASTING_CPU_SECONDS = 3600.0, 600
SOURCE = Path(__file__).resolve().parents[3]  # the folder that holds this project's packages
UNPROVEN = frozenset({Fault.FAILED, Fault.LOST, Fault.REFUSED})
"""Ends of a probe that show no wall: it stumbled over itself, it took the sandbox down, or it was not tried."""


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """What a worker is given: numbers and public weights, nothing that names a person or a collective.

    `manifest`: RFC 8785 bytes. `weights`: float32 LE [d]. `x`, `y`: float32 LE with their shapes (records × width).
    `dimension`: d, the exact number of float32 the answer must have. `seed`: 32 bytes for the manifest's own sampling.
    """

    manifest: bytes
    weights: bytes
    x: bytes
    x_shape: tuple[int, ...]
    y: bytes
    y_shape: tuple[int, ...]
    seed: bytes
    dimension: int

    def frame(self) -> bytes:
        """The job as one CBOR map."""
        return cbor.encode(
            {
                "kind": "train",
                "manifest": self.manifest,
                "weights": self.weights,
                "x": self.x,
                "x_shape": list(self.x_shape),
                "y": self.y,
                "y_shape": list(self.y_shape),
                "seed": self.seed,
            }
        )


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """Outcome of one attempt to break out."""

    name: str
    blocked: bool
    how: str


class Launcher:
    """The host's side of the sandbox. `start` before the first store is opened is not needed: the parent is exec'd."""

    def __init__(
        self, *, limits: Limits | None = None, slots: int | None = None, bubblewrap: bool = True
    ) -> None:
        self.limits = limits or Limits()
        self._bubblewrap = bubblewrap
        self.layers: frozenset[Layer] = frozenset()
        self._slots = asyncio.Semaphore(slots or os.cpu_count() or 1)
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._control: socket.socket | None = None
        self._ends: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next = 0
        self._got_out: tuple[str, ...] | None = None
        self.cpu_ms = 0
        self.visits = 0

    @property
    def missing(self) -> frozenset[Layer]:
        """Layers of the full level that did not take hold on this machine; all of them before `start`."""
        return REQUIRED - self.layers

    @property
    def level(self) -> Level:
        """Full when every needed layer took hold."""
        return Level.REDUCED if self.missing else Level.FULL

    async def start(self) -> None:
        """Start the torch parent and wait until it is warm. Raises SandboxError (worker_lost)."""
        async with self._starting:
            if self._control is None:
                await self._start()

    async def train(self, job: TrainJob, *, started: Callable[[], None] = lambda: None) -> bytes:
        """Run one visit; exactly 4·d bytes come back, or SandboxError with a fixed code. `started` is called when a slot is free."""
        expected = 4 * job.dimension
        update = await self._run(job.frame(), expected, self.limits, started)
        if len(update) != expected:
            raise fault(Fault.SHORT)
        return update

    async def probe(self, name: str, *, limits: Limits | None = None) -> ProbeResult:
        """Try one way out and say what stopped it."""
        frame = cbor.encode({"kind": "probe", "name": name})
        try:
            answer = await self._run(frame, 64, limits or Limits(cpu_seconds=1, wall_seconds=1.5))
        except SandboxError as error:
            return ProbeResult(name=name, blocked=error.code not in UNPROVEN, how=error.code)
        return ProbeResult(name=name, blocked=answer == probes.BLOCKED, how=answer.decode("ascii", "replace"))

    async def self_test(self, names: tuple[str, ...] = tuple(probes.PROBES)) -> list[ProbeResult]:
        """Every probe in turn. A caller that gets one unblocked result must not run tasks."""
        await self.start()
        return [await self.probe(name) for name in names]

    async def got_out(self) -> tuple[str, ...]:
        """Names of the quick probes that were not blocked; tried once for each torch parent, before its first visit.

        Raises SandboxError (worker_lost) where it does not start.
        """
        await self.start()
        if self._got_out is None:
            self._got_out = tuple(one.name for one in await self.self_test(probes.QUICK) if not one.blocked)
        return self._got_out

    async def lasting(self, *, limits: Limits | None = None) -> LastingWorker:
        """A worker that stays for several visits of one wallet to one collective; `close` it when they are over.

        It saves the fork. What it must not be used for is another wallet, or another collective: an algorithm that broke out
        of its vocabulary could carry something from one visit to the next. The default is a fork per visit.
        """
        await self.start()
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        ident = self._next = self._next + 1
        ended = self._ends[ident] = asyncio.get_running_loop().create_future()
        whole = replace(limits or self.limits, cpu_seconds=LASTING_CPU_SECONDS, wall_seconds=LASTING_SECONDS)
        with theirs:
            order = {"do": "run", "id": ident, "limits": asdict(whole), "lasting": True}
            self._send(order, theirs.fileno())
        return LastingWorker(self, ours, ident, ended, limits or self.limits)

    def finished(self, report: dict[str, Any], visits: int) -> None:
        """Add a worker's cost to the sums."""
        self.cpu_ms += report["cpu_ms"]
        self.visits += visits

    def end(self, ident: int) -> None:
        """Kill a worker at once; it is harmless when it has ended."""
        self._kill(ident)

    async def close(self) -> None:
        """End the parent and every child."""
        control, self._control = self._control, None
        if control is not None:
            asyncio.get_running_loop().remove_reader(control)
            control.close()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None
        self._lose_all()

    async def _run(
        self, frame: bytes, expected: int, limits: Limits, started: Callable[[], None] = lambda: None
    ) -> bytes:
        async with self._slots:
            await self.start()
            started()
            loop = asyncio.get_running_loop()
            ours, theirs = socket.socketpair()
            ours.settimeout(0)
            ident = self._next = self._next + 1
            ended = self._ends[ident] = loop.create_future()
            try:
                with theirs:
                    self._send({"do": "run", "id": ident, "limits": asdict(limits)}, theirs.fileno())
                return await self._converse(ours, frame, expected, ended, limits)
            finally:
                ours.close()
                if not ended.done():
                    self._kill(ident)
                    # The slot is given back only when the process is really gone.
                    with suppress(TimeoutError, SandboxError):
                        await asyncio.wait_for(asyncio.shield(ended), GRACE_SECONDS)
                self._ends.pop(ident, None)

    async def _converse(
        self,
        ours: socket.socket,
        frame: bytes,
        expected: int,
        ended: asyncio.Future[dict[str, Any]],
        limits: Limits,
    ) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limits.wall_seconds + GRACE_SECONDS):
                with suppress(ConnectionError):  # a child that died says so by its end
                    await loop.sock_sendall(ours, frame)
                ours.shutdown(socket.SHUT_WR)
                answer = await _read_bounded(ours, expected + 1)
                report = await asyncio.shield(ended)
        except TimeoutError:
            raise fault(Fault.TIME) from None
        self.finished(report, 1)
        return _judge(answer, report)

    def _code(self, descriptor: int) -> str:
        """What the isolated interpreter runs: the worker module, found where this process finds its own modules."""
        found = [str(SOURCE), *(path for path in sys.path if Path(path).is_absolute())]
        return (
            f"import sys; sys.path[:] = dict.fromkeys([*{found!r}, *sys.path]); sys.argv = ['worker', '{descriptor}']; "
            "from wallets.agent.sandbox import worker; worker.main()"
        )

    async def _start(self) -> None:
        program = bubblewrap.installed() if self._bubblewrap else None
        if program is not None:
            try:
                await self._start_parent(program)
            except SandboxError:
                # Installed, but not allowed here (a container without user namespaces): the other layers stand by themselves.
                self._bubblewrap = False
            else:
                self.layers |= {Layer.ROOT}
                return
        await self._start_parent(None)

    async def _start_parent(self, program: str | None) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(0)
        with theirs:
            inner = [sys.executable, "-I", "-c", self._code(theirs.fileno())]
            words = inner if program is None else bubblewrap.command(program, inner, SOURCE)
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *words,
                    pass_fds=[theirs.fileno()],
                    env={},
                    cwd="/",
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=None if program is None else asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise fault(Fault.LOST) from None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(START_SECONDS):
                body = await loop.sock_recv(ours, ORDER_BYTES)
        except TimeoutError:
            body = b""
        if not body:
            ours.close()
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            raise fault(Fault.LOST)
        self.layers, self._got_out = frozenset(Layer(name) for name in json.loads(body)["layers"]), None
        self._control = ours
        loop.add_reader(ours, self._on_report)

    def _send(self, order: dict[str, Any], *descriptors: int) -> None:
        try:
            if self._control is None:
                raise fault(Fault.LOST)
            socket.send_fds(self._control, [json.dumps(order).encode()], list(descriptors))
        except OSError:
            self._parent_gone()
            raise fault(Fault.LOST) from None

    def _kill(self, ident: int) -> None:
        with suppress(SandboxError):
            self._send({"do": "kill", "id": ident})

    def _on_report(self) -> None:
        while self._control is not None:
            try:
                body = self._control.recv(ORDER_BYTES)
            except BlockingIOError:
                return
            except OSError:
                body = b""
            if not body:
                self._parent_gone()
                return
            report = json.loads(body)
            future = self._ends.get(report["id"])
            if future is not None and not future.done():
                future.set_result(report)

    def _parent_gone(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._control = None
        self._lose_all()

    def _lose_all(self) -> None:
        for future in self._ends.values():
            if not future.done():
                future.set_exception(fault(Fault.LOST))
                future.exception()  # marked as seen: whoever waits gets it, whoever left need not


async def _read_bounded(channel: socket.socket, most: int) -> bytes:
    """Read to the end of file; more than `most` bytes is refused at once, unread."""
    loop = asyncio.get_running_loop()
    answer = bytearray()
    while True:
        try:
            part = await loop.sock_recv(channel, 1 << 18)
        except ConnectionError:
            part = b""
        if not part:
            return bytes(answer)
        answer += part
        if len(answer) > most:
            raise fault(Fault.OVERSIZED)


def _judge(answer: bytes, report: dict[str, Any]) -> bytes:
    if report["signal"] == signal.SIGXCPU or report["signal"] == signal.SIGKILL:
        raise fault(Fault.TIME)
    if report["signal"] is not None or report["exit"] != 0 or not answer:
        raise fault(Fault.CRASHED)
    if answer[0] != FINE:
        raise fault(FAULT_OF_BYTE.get(answer[0], Fault.CRASHED))
    return answer[1:]
