"""Key files of the server roles.

One folder holds what one process may open. In development `ensure_keys` makes the whole set once; in production
each role gets its own files (mounted secrets) and the public halves of the others.

    market.key collectives.key distributor.key aggregator.key   Ed25519 seeds, hex: signed service HTTP
    aggregator-seal.key       X25519 private key, hex: opens what agents seal to the aggregator
    collective-seal.key       32 bytes, hex: seals the collectives' identifying keys at rest
    issuer-seal.key           32 bytes, hex: seals issuers' keys, and values until a wallet has them
    django.key                Django's SECRET_KEY
    public.json               role -> public key, and the aggregator's sealing key
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from django.core.exceptions import ImproperlyConfigured

SERVICE_ROLES = ("market", "collectives", "distributor", "aggregator")
SEAL = "aggregator-seal"


def _write_private(path: Path, text: str) -> None:
    # Exclusive creation: two processes starting at once must not each believe in their own key.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(text)


def read_key(path: str | Path) -> bytes:
    """The 32 bytes in a key file.

    Raises:
        ImproperlyConfigured: the file is missing or is not 32 bytes in hex; says which file.
    """
    file = Path(path)
    try:
        key = bytes.fromhex(file.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(
            f"The key file {file.name} cannot be read as hex. Make it with `manage.py make_keys`, "
            "or point its setting at the right file."
        ) from error
    if len(key) != 32:
        raise ImproperlyConfigured(f"The key file {file.name} must hold 32 bytes in hex, not {len(key)}.")
    return key


def settings_of(folder: Path) -> dict[str, Any]:
    """The settings that follow from a folder of keys: where the private ones would lie, and everybody's public halves."""
    public = load_public(folder / "public.json")
    services = {role: key for role, key in public.items() if role != SEAL}
    files = (*SERVICE_ROLES, SEAL, "collective-seal", "issuer-seal")
    return {
        "PUBLIC_KEYS": public,
        "SERVICE_KEYS": services,
        "DISTRIBUTOR_KEY": services["distributor"],
        "AGGREGATOR_KEY": services["aggregator"],
        "AGGREGATOR_SEAL_PUBLIC_KEY": public[SEAL],
        **{f"{name.replace('-', '_').upper()}_KEY_FILE": folder / f"{name}.key" for name in files},
    }


def public_halves(folder: Path) -> dict[str, str]:
    halves = {
        role: Ed25519PrivateKey.from_private_bytes(read_key(folder / f"{role}.key"))
        .public_key()
        .public_bytes_raw()
        .hex()
        for role in SERVICE_ROLES
    }
    seal = X25519PrivateKey.from_private_bytes(read_key(folder / f"{SEAL}.key"))
    return halves | {SEAL: seal.public_key().public_bytes_raw().hex()}


def ensure_keys(folder: Path) -> None:
    """Make every key file that is missing, then `public.json` (development and first installation)."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    names = [
        *(f"{role}.key" for role in SERVICE_ROLES),
        f"{SEAL}.key",
        "collective-seal.key",
        "issuer-seal.key",
        "django.key",
    ]
    for name in names:
        try:
            _write_private(folder / name, secrets.token_hex(32))
        except FileExistsError:
            continue
    target = folder / "public.json"
    if not target.exists():
        part = folder / f"public.json.{os.getpid()}"
        part.write_text(json.dumps(public_halves(folder), indent=1), encoding="ascii")
        part.replace(target)


def ensure_keys_apart(folder: Path, files: Mapping[str, Iterable[str]]) -> None:
    """The same for a site whose roles are separate processes: a folder per role with what it may open, and nothing else.

    Args:
        files: role -> names of its private key files. `public.json` and a `django.key` of its own are added.
    """
    together = folder / "all"
    ensure_keys(together)
    for role, names in files.items():
        own = folder / role
        own.mkdir(exist_ok=True, mode=0o700)
        wanted = {name: (together / name).read_text(encoding="ascii") for name in names}
        for name, text in (wanted | {"django.key": secrets.token_hex(32)}).items():
            with suppress(FileExistsError):
                _write_private(own / name, text)
        (own / "public.json").write_bytes((together / "public.json").read_bytes())


def load_public(path: str | Path) -> dict[str, str]:
    try:
        keys: dict[str, str] = json.loads(Path(path).read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(
            f"The public keys in {Path(path).name} cannot be read. Make them with `manage.py make_keys`."
        ) from error
    return keys
