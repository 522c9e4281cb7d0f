"""Vectors that are let go are given back to the system at once. glibc on Linux; elsewhere nothing is done."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

M_MMAP_THRESHOLD = -3
MAPPED_BYTES = 1 << 20


@cache
def _libc(function: str) -> Any:
    return getattr(ctypes.CDLL(None), function, None) if sys.platform == "linux" else None


def map_vectors() -> None:
    """Map every block of a megabyte or more by itself (mallopt(3)); called when a process starts.

    glibc's own threshold rises to the size of whatever large block was freed, up to 32 MiB. From the second vector on they would lie in
    a heap, which keeps what is let go for as long as anything above it is used: a round was seen to hold half again as much.
    """
    if mallopt := _libc("mallopt"):
        mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)


def trim() -> None:
    """Give back what lies free between smaller blocks (malloc_trim(3)): uploads come in pieces of all sizes, hundreds at once, and
    leave several vectors' worth of holes. It takes about a millisecond; called after some megabytes of work."""
    if malloc_trim := _libc("malloc_trim"):
        malloc_trim(ctypes.c_size_t(0))
