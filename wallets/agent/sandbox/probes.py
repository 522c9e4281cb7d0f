"""Attempts to break out, run inside the sandboxed child like any job. Each answers b"blocked" or b"escaped".

They are the self-test of the sandbox, not a part of it: `Launcher.self_test` runs them all, and the tests do.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

BLOCKED, ESCAPED = b"blocked", b"escaped"
PTRACE_ATTACH = 16


def run(name: str) -> bytes:
    """Run one probe by name; an operating system error means the kernel said no."""
    try:
        return ESCAPED if PROBES[name]() else BLOCKED
    except (OSError, ValueError, subprocess.SubprocessError):
        # `setrlimit` reports a refusal as a ValueError.
        return BLOCKED


def _tcp() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(0.2)
        connection.connect(("127.0.0.1", 9))
    return True


def _udp() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        datagram.sendto(b"x", ("127.0.0.1", 9))
    return True


def _abstract_socket() -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.bind("\0cssi-probe")
    return True


def _write_file() -> bool:
    Path("/tmp/cssi-probe").write_text("x")  # noqa: S108 - the point is a place everybody may write to
    return True


def _read_file() -> bool:
    return bool(Path("/etc/passwd").read_text())


def _read_parent_environment() -> bool:
    Path(f"/proc/{os.getppid()}/environ").read_bytes()
    return True


def _own_environment() -> bool:
    return bool(
        set(os.environ) - {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "KMP_INIT_AT_FORK"}
    )


def _execute() -> bool:
    os.execv(sys.executable, [sys.executable, "-c", "0"])  # noqa: S606 - must fail
    return True


def _fork() -> bool:
    if os.fork() == 0:
        os._exit(0)
    return True


def _spawn() -> bool:
    subprocess.run([sys.executable, "-c", "0"], check=False)
    return True


def _ptrace() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.ptrace(PTRACE_ATTACH, os.getppid(), 0, 0) == 0)


def _signal_parent() -> bool:
    os.kill(os.getppid(), signal.SIGCONT)
    return True


def _other_descriptors() -> bool:
    found = False
    for number in range(4, 256):
        try:
            os.fstat(number)
            found = True
        except OSError:
            continue
    return found


def _become_root() -> bool:
    os.setuid(0)
    return True


def _raise_limits() -> bool:
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (10_000, 10_000))
    return True


def _memory() -> bool:
    blocks = [bytearray(1 << 30) for _ in range(16)]
    return bool(blocks)


def _endless() -> bool:
    while True:
        pass


def _sleep() -> bool:
    time.sleep(3600)
    return True


def _oversized() -> bool:
    chunk = b"\0" * (1 << 20)
    for _ in range(64):
        os.write(3, chunk)
    return True


PROBES: dict[str, Callable[[], bool]] = {
    "tcp": _tcp,
    "udp": _udp,
    "abstract_socket": _abstract_socket,
    "write_file": _write_file,
    "read_file": _read_file,
    "read_parent_environment": _read_parent_environment,
    "own_environment": _own_environment,
    "execute": _execute,
    "fork": _fork,
    "spawn": _spawn,
    "ptrace": _ptrace,
    "signal_parent": _signal_parent,
    "other_descriptors": _other_descriptors,
    "become_root": _become_root,
    "raise_limits": _raise_limits,
    "memory": _memory,
    "endless": _endless,
    "sleep": _sleep,
    "oversized": _oversized,
}
QUICK = tuple(name for name in PROBES if name not in {"memory", "endless", "sleep", "oversized"})
