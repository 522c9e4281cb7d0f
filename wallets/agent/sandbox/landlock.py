"""Landlock (landlock(7)) through raw system calls: no rule is added, so every file, TCP port and outer signal is refused."""

from __future__ import annotations

import ctypes
import os

SYS_CREATE_RULESET = 444
SYS_RESTRICT_SELF = 446
CREATE_RULESET_VERSION = 1

# Access bits that exist per ABI version; asking for a bit the kernel does not know is an error.
_FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NET_FROM, _NET_BITS = 4, 0b11  # bind and connect TCP
_SCOPE_FROM, _SCOPE_BITS = 6, 0b11  # abstract unix sockets and signals to processes outside


class _Attributes(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


def restrict(libc: ctypes.CDLL) -> bool:
    """Refuse every new file handle from here on; False where the kernel has no Landlock."""
    version = libc.syscall(SYS_CREATE_RULESET, None, ctypes.c_size_t(0), CREATE_RULESET_VERSION)
    if version < 1:
        return False
    attributes = _Attributes(
        fs=(1 << _FS_BITS.get(version, 16)) - 1,
        net=_NET_BITS if version >= _NET_FROM else 0,
        scoped=_SCOPE_BITS if version >= _SCOPE_FROM else 0,
    )
    size = 24 if version >= _SCOPE_FROM else 16 if version >= _NET_FROM else 8
    ruleset = libc.syscall(SYS_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        return bool(libc.syscall(SYS_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)
