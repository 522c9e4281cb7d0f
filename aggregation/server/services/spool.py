"""Files of masked inputs: sealed as they came, or a bucket's running sum of them; one folder per round, gone with it."""

from __future__ import annotations

import os
from pathlib import Path

from aggregation.server import config

LABEL_SLOT = b"cssi/v1/slot"
_RUNNING = "sum-"
ENVELOPE_BYTES = 1024
"""What CBOR, signature and seal may add to the vector at most."""


def folder(round_id: int) -> Path:
    path = config.spool() / str(round_id)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def slot_file(round_id: int, name: str) -> Path:
    return folder(round_id) / name


def new_running_sum(bucket: int) -> str:
    """A name for a bucket's next running sum; a file under such a name is never changed."""
    return f"{_RUNNING}{bucket}-{os.urandom(6).hex()}"


def is_running_sum(name: str) -> bool:
    return name.startswith(_RUNNING)


def accumulator_file(round_id: int, bucket: int) -> Path:
    return folder(round_id) / f"bucket-{bucket}.sum"


def open_sealed(path: Path) -> bytes:
    """Raises:
    SealError: it was not sealed to this aggregator.
    """
    return config.recipient().unseal(LABEL_SLOT, path.read_bytes())
