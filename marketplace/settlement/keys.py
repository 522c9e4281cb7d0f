"""Chain keys by purpose, behind a signer of three methods, so that a key service can take the place of files.

settler settles and closes, payer pushes payouts, publisher publishes roots, lister publishes assets and owns their data NFTs,
provider signs what an order costs and how long it is good, faucet mints development tokens, admin deploys and
holds the contracts' admin role. Each is a separate key.
"""

from __future__ import annotations

import json
import os
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from eth_account import Account

from marketplace.settlement import conf

PURPOSES = ("admin", "settler", "payer", "publisher", "faucet", "lister", "provider")


class Signer(Protocol):
    """What signs for one address; a file here, a key management service elsewhere."""

    def address(self) -> str: ...

    def sign_transaction(self, transaction: dict[str, Any]) -> bytes: ...

    def sign_digest(self, digest: bytes) -> bytes: ...


class LocalSigner:
    """A private key in this process. `repr` shows the address only."""

    def __init__(self, private: bytes) -> None:
        self._account = Account.from_key(private)

    def __repr__(self) -> str:
        return f"<LocalSigner {self.address()}>"

    def address(self) -> str:
        return str(self._account.address)

    def sign_transaction(self, transaction: dict[str, Any]) -> bytes:
        """The signed raw transaction."""
        return bytes(self._account.sign_transaction(transaction).raw_transaction)

    def sign_digest(self, digest: bytes) -> bytes:
        """65 bytes r ‖ s ‖ v over a 32-byte digest."""
        return bytes(self._account.unsafe_sign_hash(digest).signature)


def signer(purpose: str) -> Signer:
    """The platform's signer for a purpose: of the site's own making (`CHAIN_SIGNER`), from a keystore, or from a plain file.

    Raises:
        ImproperlyConfigured: there is no key for it; says which file is expected.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"{purpose} is not a purpose")
    made_elsewhere = conf.get("CHAIN_SIGNER")
    if made_elsewhere:
        found: Signer = import_string(made_elsewhere)(purpose)
        return found
    folder = Path(settings.CHAIN_KEYS_DIR)
    keystore, plain = folder / f"{purpose}.json", folder / f"{purpose}.key"
    if keystore.exists():
        return _unlock(keystore, keystore.stat().st_mtime_ns)
    if not plain.exists():
        if not settings.DEVELOPMENT:
            raise ImproperlyConfigured(
                f"There is no keystore {keystore.name} and no {plain.name} in CHAIN_KEYS_DIR; put the {purpose}'s key there."
            )
        _make(plain)
    return LocalSigner(bytes.fromhex(plain.read_text(encoding="ascii").strip()))


@lru_cache(maxsize=len(PURPOSES))
def _unlock(path: Path, changed: int) -> LocalSigner:
    """A Web3 Secret Storage file (version 3) opened with the password in CHAIN_KEYSTORE_PASSWORD_FILE; it takes a second, once."""
    del changed
    password = conf.get("CHAIN_KEYSTORE_PASSWORD_FILE")
    if not password:
        raise ImproperlyConfigured(
            f"{path.name} is encrypted: CHAIN_KEYSTORE_PASSWORD_FILE must name its password."
        )
    words = Path(password).read_text(encoding="utf-8").rstrip("\n")
    try:
        return LocalSigner(bytes(Account.decrypt(json.loads(path.read_text(encoding="utf-8")), words)))
    except ValueError as error:
        raise ImproperlyConfigured(f"The password does not open {path.name}.") from error


def development_addresses() -> list[bytes]:
    """The platform's own addresses: what a development chain funds at genesis."""
    return [bytes.fromhex(signer(purpose).address()[2:]) for purpose in PURPOSES]


def new_sealed_key(owner: str) -> tuple[str, bytes]:
    """(address, sealed private key) for an account whose address here the platform signs for (ADR 18)."""
    private = secrets.token_bytes(32)
    nonce = secrets.token_bytes(12)
    return LocalSigner(private).address(), nonce + _custody().encrypt(nonce, private, owner.encode())


def open_sealed_key(sealed: bytes, owner: str) -> Signer:
    return LocalSigner(_custody().decrypt(sealed[:12], sealed[12:], owner.encode()))


def _custody() -> AESGCM:
    secret = Path(settings.MARKET_KEY_FILE).read_text(encoding="ascii").strip()
    derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"cssi/v1/consumer-custody")
    return AESGCM(derive.derive(bytes.fromhex(secret)))


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(secrets.token_hex(32))
