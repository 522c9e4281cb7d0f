"""The torch parent: `python -m wallets.agent.sandbox.worker <descriptor>`, started by exec, one per host process.

It reads orders of the launcher from one SOCK_SEQPACKET descriptor. `run` comes with the job's own channel attached
(SCM_RIGHTS): the parent never reads it, so one visit's numbers are never in the memory another visit is forked from. The
forked child confines itself, reads the job from its channel, writes the update and ends.

Launcher -> parent: {"do": "run", "id", "limits", "lasting"} + channel · {"do": "kill", "id"}
Parent -> launcher: {"is": "ready", "layers"} · {"is": "ended", "id", "exit", "signal", "cpu_ms"}
Channel, launcher -> child: one CBOR map (`job_frame`), then end of file.
Channel, child -> launcher: one status byte (0 = fine), then the raw float32 little-endian update.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from wallets.agent.sandbox import hugepages
from wallets.agent.sandbox.policy import CHANNEL, Fault, Layer, Limits, confine_child, isolate_parent

ORDER_BYTES = 4096
LENGTH_BYTES = 8
SINGLE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
FINE = 0
FAULT_BYTES = {Fault.FAILED: 1, Fault.MEMORY: 2, Fault.REFUSED: 3}


@dataclass(kw_only=True)
class Child:
    """A running fork: its process, a descriptor that becomes readable at its end, and its last moment."""

    ident: int
    pid: int
    pidfd: int
    deadline: float


def main() -> None:
    """Isolate, import torch, then serve orders until the launcher closes its end."""
    control = socket.socket(fileno=int(sys.argv[1]))
    started_as_root = os.geteuid() == 0
    layers = isolate_parent()
    os.environ.update(SINGLE_THREAD)
    _warm_up()
    gc.collect()
    hugepages.gather()
    gc.freeze()  # keeps the collector of a child from touching, and so copying, the parent's pages
    null = os.open(os.devnull, os.O_RDWR)
    probe_layers = _layers_of_a_child(null, started_as_root=started_as_root)
    control.send(json.dumps({"is": "ready", "layers": sorted(layers | probe_layers)}).encode())
    Parent(control, null, started_as_root=started_as_root).serve()


class Parent:
    """The order loop. One thread, no locks: orders, ends of children and deadlines come through one poll."""

    def __init__(self, control: socket.socket, null: int, *, started_as_root: bool) -> None:
        self._control = control
        self._null = null
        self._root = started_as_root
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._children: dict[int, Child] = {}  # by pidfd

    def serve(self) -> None:
        """Return when the launcher is gone; the children die with this process."""
        while True:
            for descriptor, _ in self._poll.poll(self._patience()):
                if descriptor in self._children:
                    self._reap(self._children.pop(descriptor))
                elif not self._order():
                    return
            self._stop_overdue()

    def _order(self) -> bool:
        body, descriptors, _, _ = socket.recv_fds(self._control, ORDER_BYTES, 1)
        if not body:
            return False
        order = json.loads(body)
        if order["do"] == "run":
            self._fork(
                order["id"], Limits(**order["limits"]), descriptors[0], lasting=order.get("lasting", False)
            )
        elif order["do"] == "kill":
            for child in self._children.values():
                if child.ident == order["id"]:
                    _kill(child)
        return True

    def _fork(self, ident: int, limits: Limits, channel: int, *, lasting: bool) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _be_child(channel, self._null, limits, parent, started_as_root=self._root, lasting=lasting)
        os.close(channel)
        pidfd = os.pidfd_open(pid)
        deadline = time.monotonic() + limits.wall_seconds
        self._children[pidfd] = Child(ident=ident, pid=pid, pidfd=pidfd, deadline=deadline)
        self._poll.register(pidfd, select.POLLIN)

    def _reap(self, child: Child) -> None:
        self._poll.unregister(child.pidfd)
        os.close(child.pidfd)
        _, status, usage = os.wait4(child.pid, 0)
        report: dict[str, Any] = {"is": "ended", "id": child.ident, "exit": None, "signal": None}
        report["cpu_ms"] = round((usage.ru_utime + usage.ru_stime) * 1000)
        if os.WIFSIGNALED(status):
            report["signal"] = os.WTERMSIG(status)
        else:
            report["exit"] = os.WEXITSTATUS(status)
        with suppress(OSError):
            self._control.send(json.dumps(report).encode())

    def _patience(self) -> float | None:
        """Milliseconds until the next child is overdue, or None to wait for ever."""
        if not self._children:
            return None
        return max(0.0, min(c.deadline for c in self._children.values()) - time.monotonic()) * 1000 + 1

    def _stop_overdue(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if now >= child.deadline:
                _kill(child)
                child.deadline = now + 1.0


def _kill(child: Child) -> None:
    with suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)


def _be_child(
    channel: int, null: int, limits: Limits, parent: int, *, started_as_root: bool, lasting: bool
) -> NoReturn:
    try:
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        os.dup2(channel, CHANNEL)
        os.closerange(CHANNEL + 1, 65_536)
        confine_child(limits, parent, started_as_root=started_as_root)
        if lasting:
            _work_until_closed()
        _work()
    finally:
        # Never back into the parent's loop, whatever was raised.
        os._exit(1)


def _work() -> NoReturn:
    _write_all(_reply(_read_all()))
    os._exit(0)


def _work_until_closed() -> NoReturn:
    """Jobs of one wallet for one collective, one after another, each behind its length (8 bytes, big-endian)."""
    while head := _read_exactly(LENGTH_BYTES):
        reply = _reply(_read_exactly(int.from_bytes(head, "big")))
        _write_all(len(reply).to_bytes(LENGTH_BYTES, "big") + reply)
    os._exit(0)


def _reply(frame: bytes) -> bytes:
    try:
        return bytes([FINE]) + _run(frame)
    except MemoryError:
        return bytes([FAULT_BYTES[Fault.MEMORY]])
    except RuntimeError as error:
        # torch reports a failed allocation as a RuntimeError; the text stays in here.
        short_of_memory = "alloc" in str(error).lower() or "memory" in str(error).lower()
        return bytes([FAULT_BYTES[Fault.MEMORY if short_of_memory else Fault.FAILED]])
    except BaseException:
        return bytes([FAULT_BYTES[Fault.FAILED]])


def _write_all(reply: bytes) -> None:
    view = memoryview(reply)
    while view:
        view = view[os.write(CHANNEL, view) :]


def _read_exactly(size: int) -> bytes:
    """That many bytes, or none when the other side closed."""
    parts = bytearray()
    while len(parts) < size:
        part = os.read(CHANNEL, min(size - len(parts), 1 << 20))
        if not part:
            return b""
        parts += part
    return bytes(parts)


def _run(frame: bytes) -> bytes:
    from aggregation.wire import cbor

    job = cbor.decode(frame)
    if job["kind"] == "probe":
        from wallets.agent.sandbox import probes

        return probes.run(job["name"])
    return _train(job)


def _train(job: dict[str, Any]) -> bytes:
    """One visit, or many visits to one model (`train-many`: arrays with one more axis in front, and a seed for each)."""
    import numpy as np

    from collectives.terms.algorithm import parse_manifest
    from collectives.training.many import compute_updates
    from collectives.training.net import compute_update

    x = np.frombuffer(job["x"], dtype="<f4").reshape(job["x_shape"])
    y = np.frombuffer(job["y"], dtype="<f4").reshape(job["y_shape"])
    weights = np.frombuffer(job["weights"], dtype="<f4")
    manifest = parse_manifest(job["manifest"])
    if job["kind"] == "train-many":
        update = compute_updates(manifest, weights, x, y, job["seeds"])
    else:
        update = compute_update(manifest, weights, x, y, job["seed"])
    return np.ascontiguousarray(update, dtype="<f4").tobytes()


def _read_all() -> bytes:
    parts = []
    while part := os.read(CHANNEL, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _warm_up() -> None:
    """Import everything a job touches and run one, so that a child loads nothing and shares these pages."""
    import torch

    from wallets.agent.sandbox import probes, warmup

    torch.set_num_threads(1)
    assert probes
    for frame in warmup.frames():
        _run(frame)


def _layers_of_a_child(null: int, *, started_as_root: bool) -> set[Layer]:
    """Let a throw-away child confine itself and say which layers took hold."""
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(theirs.fileno(), CHANNEL)
            os.closerange(CHANNEL + 1, 65_536)
            layers = confine_child(Limits(), parent, started_as_root=started_as_root)
            os.write(CHANNEL, json.dumps(sorted(layers)).encode())
        finally:
            os._exit(0)
    theirs.close()
    reported = ours.recv(ORDER_BYTES)
    ours.close()
    os.waitpid(pid, 0)
    assert null
    return {Layer(name) for name in json.loads(reported or b"[]")}


if __name__ == "__main__":
    main()
