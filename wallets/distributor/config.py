"""What the distributor reads from the settings, in one place."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from aggregation.wire import signing
from aggregation.wire.secret import Secret

HEARTBEAT_SECONDS = 20
CHALLENGE_SECONDS = 60
"""How long a challenge may be answered."""
MAX_FRAME = 64 * 1024
MAX_BODY = 64 * 1024 * 1024


def now() -> int:
    """Unix seconds of this server's clock."""
    return int(time.time())


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


@lru_cache(maxsize=1)
def _signing_key(path: str) -> tuple[Secret, bytes]:
    private = signing.expanded(read_key(path))  # signs a challenge for every socket
    return private, signing.public_key(private)


def private_key() -> Secret:
    return _signing_key(str(settings.DISTRIBUTOR_KEY_FILE))[0]


def public_key() -> bytes:
    return _signing_key(str(settings.DISTRIBUTOR_KEY_FILE))[1]


def service_keys() -> dict[str, bytes]:
    return {role: bytes.fromhex(key) for role, key in settings.SERVICE_KEYS.items()}


def aggregator_url() -> str:
    return str(settings.AGGREGATOR_URL).rstrip("/")
