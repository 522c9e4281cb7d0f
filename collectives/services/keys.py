"""Collectives' identifying keys: made here, sealed at rest, opened only to sign.

sealed = nonce (12) ‖ AES-256-GCM(seal key, seed, AAD = collective id). The seal key is a file that only this role reads.
"""

from __future__ import annotations

import secrets
import uuid
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from aggregation.wire import signing
from aggregation.wire.secret import Secret
from collectives.models import Collective


def read_key_file(path: str | Path) -> bytes:
    """Raises:
    ImproperlyConfigured: the file is not 32 bytes in hex; names the file.
    """
    try:
        key = bytes.fromhex(Path(path).read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"The key file {Path(path).name} cannot be read as hex.") from error
    if len(key) != 32:
        raise ImproperlyConfigured(f"The key file {Path(path).name} must hold 32 bytes in hex.")
    return key


def new_key(collective_id: uuid.UUID) -> tuple[str, bytes]:
    """(public key hex, sealed private key) of a fresh identifying key."""
    private = signing.generate(secrets.token_bytes)
    nonce = secrets.token_bytes(12)
    sealed = nonce + _cipher().encrypt(nonce, private.reveal(), collective_id.bytes)
    return signing.public_key(private).hex(), sealed


def signing_key(collective: Collective) -> Secret:
    """The private key, for one signature.

    Raises:
        ImproperlyConfigured: the seal key does not open it.
    """
    sealed = bytes(collective.sealed_key)
    try:
        return Secret(_cipher().decrypt(sealed[:12], sealed[12:], collective.id.bytes))
    except InvalidTag as error:
        raise ImproperlyConfigured(
            "The collective's key does not open with COLLECTIVE_SEAL_KEY_FILE. Put back the file it was sealed with."
        ) from error


def _cipher() -> AESGCM:
    return AESGCM(read_key_file(settings.COLLECTIVE_SEAL_KEY_FILE))
