"""What lies in the issuer's database is sealed: nonce (12) ‖ AES-256-GCM(seal key, plain, AAD = what it belongs to).

The seal key is a file that only this role reads.
"""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def seal(plain: bytes, belongs_to: bytes) -> bytes:
    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(_key()).encrypt(nonce, plain, belongs_to)


def unseal(sealed: bytes, belongs_to: bytes) -> bytes:
    """Raises:
    ImproperlyConfigured: the seal key does not open it.
    """
    try:
        return AESGCM(_key()).decrypt(sealed[:12], sealed[12:], belongs_to)
    except InvalidTag as error:
        raise ImproperlyConfigured(
            "The issuer's data does not open with ISSUER_SEAL_KEY_FILE. Put back the file it was sealed with."
        ) from error


def code_for(credential_id: bytes) -> str:
    """The one-time code of an offer; made again from the seal key, so that it need not be stored. 120 bits."""
    raw = hmac.digest(_key(), b"cssi/v1/issuer-code" + credential_id, "sha256")
    return raw[:15].hex()


def _key() -> bytes:
    path = Path(settings.ISSUER_SEAL_KEY_FILE)
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"The key file {path.name} cannot be read as hex.") from error
    if len(key) != 32:
        raise ImproperlyConfigured(f"The key file {path.name} must hold 32 bytes in hex.")
    return key
