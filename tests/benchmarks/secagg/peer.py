"""Flower's SecAgg+ in an environment and a process of its own, on the same n, d, dropout, k and t."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
SCRIPT = Path(__file__).with_name("flower_peer.py")


@dataclass(frozen=True, kw_only=True)
class Peer:
    """CPU seconds, bytes per client, and the largest error of the mean: that the peer's round came out right."""

    server_cpu: float
    client_cpu: float
    upload: int
    error: float


def installed() -> bool:
    return PYTHON.exists()


def flower(*, n: int, d: int, lost: int, k: int, t: int) -> Peer:
    """One round of Flower's.

    Raises:
        subprocess.CalledProcessError: it failed; its errors are on standard error.
    """
    setting = json.dumps({"n": n, "d": d, "lost": lost, "k": k, "t": t})
    done = subprocess.run([PYTHON, SCRIPT, setting], check=True, stdout=subprocess.PIPE, text=True)
    peer = Peer(**json.loads(done.stdout.splitlines()[-1]))
    assert peer.error < 1e-3, "the peer's mean is wrong, so its times mean nothing"
    return peer
