"""A system-call allow-list for the sandboxed child, as a classic BPF program (seccomp(2), no library).

Everything not needed to compute on memory already mapped and to speak on one already open channel fails with EPERM: no
open, socket, fork, exec, kill, ptrace. A call from a foreign architecture kills the process.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from functools import cache

PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
RET_ALLOW = 0x7FFF0000
RET_ERRNO = 0x00050000
RET_KILL_PROCESS = 0x80000000
X32_BIT = 0x40000000

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name -> (x86_64, aarch64); None where the architecture has no such call
CALLS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "poll": (7, None),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "readv": (19, 65),
    "writev": (20, 66),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "exit": (60, 93),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "time": (201, None),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "ppoll": (271, 73),
    "set_robust_list": (273, 99),
    "getcpu": (309, 168),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
    "rseq": (334, 293),
}

_LD_ABS = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JEQ = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JGE = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RET = 0x06  # BPF_RET | BPF_K
_OFFSET_NR = 0
_OFFSET_ARCH = 4


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def program(machine: str) -> bytes:
    """The filter for an architecture (`platform.machine()`); KeyError for one without a table."""
    column = list(AUDIT_ARCH).index(machine) if machine in AUDIT_ARCH else None
    if column is None:
        raise KeyError(machine)
    numbers = sorted(number for pair in CALLS.values() if (number := pair[column]) is not None)
    code = [(_LD_ABS, 0, 0, _OFFSET_ARCH), (_JEQ, 1, 0, AUDIT_ARCH[machine]), (_RET, 0, 0, RET_KILL_PROCESS)]
    code.append((_LD_ABS, 0, 0, _OFFSET_NR))
    if machine == "x86_64":
        code += [(_JGE, 0, 1, X32_BIT), (_RET, 0, 0, RET_KILL_PROCESS)]
    for position, number in enumerate(numbers):
        to_allow = len(numbers) - position  # past the remaining tests and the refusing return
        code.append((_JEQ, to_allow, 0, number))
    code += [(_RET, 0, 0, RET_ERRNO | errno.EPERM), (_RET, 0, 0, RET_ALLOW)]
    return b"".join(struct.pack("HBBI", *line) for line in code)


@cache
def prepared() -> _Program | None:
    """The filter for this machine as the kernel takes it; None without a table. Made once, so that no child makes it."""
    try:
        body = program(platform.machine())
    except KeyError:
        return None
    buffer = ctypes.create_string_buffer(body, len(body))
    return _Program(len(body) // 8, ctypes.cast(buffer, ctypes.c_void_p))  # the pointer keeps the buffer


def install(libc: ctypes.CDLL) -> bool:
    """Put the calling thread under the filter for good; False where the kernel or the table does not allow it.

    `no_new_privs` must be set already.
    """
    head = prepared()
    if head is None:
        return False
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(head), 0, 0) == 0)
