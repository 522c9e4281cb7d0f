"""What the aggregator reads from the settings, in one place."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from aggregation.wire import sealing, signing
from aggregation.wire.secret import Secret

MAX_FRAME = 64 * 1024
MAX_BODY = 64 * 1024 * 1024
CHALLENGE_SECONDS = 60
PLACES_ON_A_SOCKET = 64
FRAMES_WAITING = 8
"""Of one wallet on a shared socket, while what it said before is stored."""
GRACE_SECONDS = 3.0
"""How long a wallet without a socket is still waited for."""
RESTART_GRACE_SECONDS = 8.0
"""The same after a server process died: everyone has to come back at once."""
JOIN_GRACE_SECONDS = 20.0
"""How long a wallet may take from delivery to its first socket."""
UNMASK_PATIENCE_SECONDS = 2
"""With enough answers to unmask, how long the rest is waited for."""
UPLOADS_AT_ONCE = 32
"""Masked inputs read at once by one process; others wait unread."""
UPLOAD_IDLE_SECONDS = 10.0
"""How long an upload may pause between two pieces."""
UPLOAD_LONGEST_SECONDS = 600.0
UPLOAD_PATIENCE_SECONDS = 2.0
"""How long an upload keeps its turn in any case while others wait."""
UPLOAD_FLOOR = 64 * 1024
"""Bytes per second; a slower upload loses its turn when others wait."""
SMALL_INPUT = 16 * 1024
"""Bytes of a sealed masked input up to which it has no file of its own."""
FOLD_AT = 4
"""So many stored masked inputs of a bucket, at least, are added to its running sum at a time,"""
FOLD_BYTES = 4 * 1024 * 1024
"""and so many bytes of them: short vectors may wait for the end of the phase."""
PUSH_SECONDS = 5.0
"""How long a wallet may leave a message unread before its socket is closed."""
LEASE_SECONDS = 10.0
SIGNING_SECONDS = 60
COHORT_SECONDS = 24 * 3600
THRESHOLD_PPM = 760_000
"""38 of 50: the design's threshold for complete buckets (docs/protocol/secagg.md)."""


def now() -> int:
    """Unix seconds of this server's clock."""
    return int(time.time())


def precise_now() -> float:
    """The same with fractions, for leases and graces."""
    return time.time()


def read_key(path: str | Path) -> Secret:
    """A 32-byte key from a hex file.

    Raises:
        ImproperlyConfigured: the file is missing or holds something else.
    """
    try:
        key = bytes.fromhex(Path(path).read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"The key file {Path(path).name} cannot be read as hex.") from error
    if len(key) != 32:
        raise ImproperlyConfigured(f"The key file {Path(path).name} must hold 32 bytes in hex.")
    return Secret(key)


@lru_cache(maxsize=4)
def _signing_key(path: str) -> tuple[Secret, bytes]:
    private = signing.expanded(read_key(path))  # signs a challenge for every socket
    return private, signing.public_key(private)


@lru_cache(maxsize=4)
def _recipient(path: str) -> sealing.Recipient:
    return sealing.Recipient(read_key(path))


def private_key() -> Secret:
    return _signing_key(str(settings.AGGREGATOR_KEY_FILE))[0]


def public_key() -> bytes:
    return _signing_key(str(settings.AGGREGATOR_KEY_FILE))[1]


def recipient() -> sealing.Recipient:
    """The key pair that bodies from agents are sealed to."""
    return _recipient(str(settings.AGGREGATOR_SEAL_KEY_FILE))


def sealing_public_key() -> bytes:
    return recipient().public


def service_keys() -> dict[str, bytes]:
    return {role: bytes.fromhex(key) for role, key in settings.SERVICE_KEYS.items()}


def development_minima() -> bool:
    return bool(getattr(settings, "DEVELOPMENT_MINIMA", False))


def spool() -> Path:
    """Where masked inputs lie, sealed as they came, until their phase closes."""
    return Path(settings.AGGREGATOR_SPOOL_DIR)
