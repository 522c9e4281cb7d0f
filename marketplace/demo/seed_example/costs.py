"""What processes cost, as the kernel counts it: CPU of a process and everything it ever started, memory of all of them now."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """`cpu` in seconds since the process began, ended children included; `memory` in bytes, shared pages counted in parts."""

    cpu: float
    memory: int


def of_trees(roots: Mapping[str, int]) -> dict[str, Cost]:
    """The cost of each named process with all its descendants; a process that is gone costs nothing more."""
    children: dict[int, list[int]] = defaultdict(list)
    cpu: dict[int, float] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            with suppress(OSError, IndexError, ValueError):
                parent, spent = _stat(entry)
                children[parent].append(int(entry.name))
                cpu[int(entry.name)] = spent
    found = {}
    for name, root in roots.items():
        tree = [pid for pid in _descend(root, children) if pid in cpu]
        found[name] = Cost(cpu=sum(cpu[pid] for pid in tree), memory=sum(_memory(pid) for pid in tree))
    return found


def _stat(entry: Path) -> tuple[int, float]:
    """(parent, CPU seconds of the process and of its children that ended)."""
    fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return int(fields[1]), sum(int(ticks) for ticks in fields[11:15]) / _TICKS


def _descend(root: int, children: Mapping[int, list[int]]) -> Iterable[int]:
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, ())


def _memory(pid: int) -> int:
    with suppress(OSError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
