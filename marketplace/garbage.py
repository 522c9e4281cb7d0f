"""How often a long-lived process looks for cyclic garbage (ADR 0031)."""

from __future__ import annotations

import gc

THRESHOLDS = (50_000, 20, 100)
"""Of `gc.set_threshold`; Python's own are (700, 10, 10)."""


def look_seldom() -> None:
    """Set what was loaded aside for good, and look into the rest once in 50,000 new objects instead of once in 700.

    Called when a server, a worker or a command is loaded and before it has work. Reference counts free nearly everything here;
    what the collector finds is little, and what it walks through, thousands of sockets and every loaded class, is much.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
