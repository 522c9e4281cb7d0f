"""What a worker may use, and how the kernel is told. Linux only; every layer reports whether it took hold.

Two places: the torch parent leaves the network and gets rid of its environment once, before torch is imported; every
forked child then gives up files, processes, users and memory before it reads one byte of a job.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from wallets.agent.sandbox import landlock, seccomp

CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x04000000, 0x08000000, 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
NOBODY = 65534
CHANNEL = 3  # the only descriptor a child keeps besides a closed-off 0, 1, 2


class Layer(StrEnum):
    """One independent wall. `missing` of the launcher names those that did not take hold.

    All but `bubblewrap` are needed for the full level; bubblewrap is one more where it is installed.
    """

    ENVIRONMENT = "empty environment"
    NETWORK = "network namespace"
    PRIVILEGES = "no new privileges"
    USER = "unprivileged user"
    LIMITS = "resource limits"
    FILES = "landlock"
    CALLS = "seccomp"
    ROOT = "bubblewrap"


REQUIRED = frozenset(Layer) - {Layer.ROOT}


class Level(StrEnum):
    """How well visits are walled in on this machine, as shown to the holder and told to a collective that asks."""

    FULL = "full"
    REDUCED = "reduced"


class Fault(StrEnum):
    """The only words about a failed worker that anyone outside it hears."""

    FAILED = "failed"
    TIME = "time"
    MEMORY = "memory"
    CRASHED = "crashed"
    OVERSIZED = "oversized"
    SHORT = "short"
    REFUSED = "refused"
    LOST = "worker_lost"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Hard limits of one visit. `memory_bytes` counts on top of what the torch parent had mapped."""

    cpu_seconds: int = 10
    wall_seconds: float = 30.0
    memory_bytes: int = 512 * 1024 * 1024


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def isolate_parent() -> set[Layer]:
    """Cut the calling, still single-threaded process off the network. Returns the layers that took hold."""
    libc = _libc()
    seccomp.prepared()
    layers: set[Layer] = set()
    os.environ.clear()
    libc.clearenv()
    layers.add(Layer.ENVIRONMENT)
    outer = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
    if (os.geteuid() == 0 and libc.unshare(outer) == 0) or libc.unshare(CLONE_NEWUSER | outer) == 0:
        layers.add(Layer.NETWORK)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        layers.add(Layer.PRIVILEGES)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return layers


def confine_child(limits: Limits, parent: int, *, started_as_root: bool) -> set[Layer]:
    """Give up everything but memory, CPU and descriptor 3. Irreversible; called first thing in a forked child."""
    libc = _libc()
    layers: set[Layer] = set()
    _limit_resources(limits)
    layers.add(Layer.LIMITS)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        layers.add(Layer.USER)
    elif not started_as_root:
        # In a user namespace without a mapping the real root also reads as nobody, and that would not be a wall.
        layers.add(Layer.USER)
    # A change of user clears the death signal and the dumpable flag, so they come after it.
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        layers.add(Layer.PRIVILEGES)
    if landlock.restrict(libc):
        layers.add(Layer.FILES)
    if seccomp.install(libc):
        layers.add(Layer.CALLS)
    return layers


def _limit_resources(limits: Limits) -> None:
    pages = int(_read_small("/proc/self/statm").split()[0])
    mapped = pages * resource.getpagesize()
    for name, value in (
        (resource.RLIMIT_AS, mapped + limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (
            resource.RLIMIT_NOFILE,
            CHANNEL + 2,
        ),  # one more than the channel: Landlock needs a descriptor for a moment
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(name, (value, value))


def _read_small(path: str) -> str:
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.read(handle, 4096).decode()
    finally:
        os.close(handle)
