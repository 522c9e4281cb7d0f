"""Slot tokens: a participant's number and a MAC over it, so that an upload is judged before a byte of it is read.

A token can be made again after a restart, and nothing about it has to be stored.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from aggregation.server import config
from aggregation.wire import signing

MAC_HEX = 40


@lru_cache(maxsize=1)
def _key() -> bytes:
    seed = config.private_key().reveal()[: signing.KEY_BYTES]
    return hmac.digest(seed, b"cssi/v1/slot-token", hashlib.sha256)


def slot_token(round_id: int, participant: int) -> str:
    return f"{round_id}-{participant}-{_mac(round_id, participant)}"


def _mac(round_id: int, participant: int) -> str:
    return hmac.digest(_key(), f"{round_id}-{participant}".encode(), hashlib.sha256).hex()[:MAC_HEX]


def read_slot_token(token: str) -> tuple[int, int] | None:
    """Round and participant, or None for a token that was not made here."""
    parts = token.split("-")
    if len(parts) != 3 or not all(
        part.isascii() and part.isdecimal() and len(part) < 19 for part in parts[:2]
    ):
        return None
    round_id, participant = int(parts[0]), int(parts[1])
    if not hmac.compare_digest(parts[2].encode(), _mac(round_id, participant).encode()):
        return None
    return round_id, participant
