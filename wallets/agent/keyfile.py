"""The key file beside a wallet's store: slots that each wrap the one raw store key.

A slot turns something the holder knows (a passphrase, a recovery code) or something the machine keeps (a host's raw key
file) into a key-encryption key and wraps the raw key with AES-256-GCM. Changing a passphrase re-wraps one slot and leaves
the store untouched. The associated data of a slot is its kind and its parameters, so neither can be exchanged.

Argon2id as in RFC 9106, second recommended option (64 MiB, 3 passes), one lane.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import Any

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from aggregation.wire.secret import Secret
from wallets.agent.errors import LockedOut, StoreDamaged, StoreMissing, WrongPassphrase

ENTROPY = Callable[[int], bytes]
KEY_BYTES = 32
DATABASE = "wallet.db"
DATABASE_NAME = re.compile(r"wallet(-[0-9a-f]{16})?\.db")
FREE_ATTEMPTS = 5
LONGEST_LOCK_SECONDS = 3600
RECOVERY_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base 32: no I, L, O, U
RECOVERY_SYMBOLS = 26  # 130 bits


class SlotKind(StrEnum):
    """What opens a slot."""

    PASSPHRASE = "passphrase"  # noqa: S105 - a kind of slot, not a secret
    RECOVERY = "recovery"
    HOST = "host"


@dataclass(frozen=True, kw_only=True)
class Argon2Cost:
    """Cost of one guess: memory in KiB and passes over it."""

    memory_kib: int = 65_536
    passes: int = 3


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One wrapped copy of the raw key."""

    kind: SlotKind
    salt: bytes
    nonce: bytes
    wrapped: bytes
    memory_kib: int
    passes: int

    def parameters(self) -> bytes:
        """The associated data: a slot moved under another kind or cost does not open."""
        return f"cssi/v1/slot|{self.kind}|{self.memory_kib}|{self.passes}".encode() + self.salt


@dataclass(frozen=True, kw_only=True)
class KeyFile:
    """All slots, which database they open, and how often a wrong secret was tried since the last right one.

    The database is named here so that a rekey can write a whole new one and take it into use by replacing this one file.
    """

    slots: tuple[Slot, ...]
    failures: int = 0
    locked_until: int = 0
    database: str = DATABASE


def new_recovery_code(rng: ENTROPY) -> str:
    """A recovery code of 130 random bits, grouped for reading aloud."""
    symbols = [RECOVERY_ALPHABET[byte & 31] for byte in rng(RECOVERY_SYMBOLS)]
    text = "".join(symbols)
    return "-".join(text[i : i + 5] for i in range(0, RECOVERY_SYMBOLS, 5))


def normal_recovery_code(text: str) -> str:
    """The code as typed, without separators and with the usual misreadings mended."""
    cleaned = "".join(character for character in text.upper() if character.isalnum())
    return cleaned.translate(str.maketrans("OIL", "011"))


def _as_kept(kind: SlotKind, secret: Secret) -> Secret:
    """A recovery code in its normal form, everything else as it is."""
    if kind is not SlotKind.RECOVERY:
        return secret
    return Secret(normal_recovery_code(secret.reveal().decode(errors="replace")).encode())


def make_slot(kind: SlotKind, secret: Secret, raw: Secret, *, rng: ENTROPY, cost: Argon2Cost) -> Slot:
    """Wrap the raw key under a secret. A recovery code is taken as people type it."""
    secret = _as_kept(kind, secret)
    salt, nonce = rng(16), rng(12)
    memory, passes = (0, 0) if kind is SlotKind.HOST else (cost.memory_kib, cost.passes)
    slot = Slot(kind=kind, salt=salt, nonce=nonce, wrapped=b"", memory_kib=memory, passes=passes)
    wrapped = AESGCM(_slot_key(slot, secret)).encrypt(nonce, raw.reveal(), slot.parameters())
    return replace(slot, wrapped=wrapped)


def unwrap(file: KeyFile, kind: SlotKind, secret: Secret) -> Secret:
    """The raw key, or WrongPassphrase when no slot of that kind opens."""
    secret = _as_kept(kind, secret)
    for slot in file.slots:
        if slot.kind is not kind:
            continue
        try:
            opened = AESGCM(_slot_key(slot, secret)).decrypt(slot.nonce, slot.wrapped, slot.parameters())
        except InvalidTag:
            continue
        return Secret(opened)
    what = {SlotKind.PASSPHRASE: "passphrase", SlotKind.RECOVERY: "recovery code", SlotKind.HOST: "host key"}[
        kind
    ]
    raise WrongPassphrase(f"This {what} does not open the wallet. Check it and try again.")


def open_guarded(path: Path, kind: SlotKind, secret: Secret, *, now: int) -> Secret:
    """Unwrap with a lock-out that grows: five free attempts, then 2, 4, 8 … seconds, at most an hour.

    Raises LockedOut (with `retry_after`), WrongPassphrase, StoreMissing, StoreDamaged. The lock-out is a help against
    guessing at this prompt; against a copied file only the cost of Argon2id helps.
    """
    file = read(path)
    if now < file.locked_until and kind is not SlotKind.HOST:
        wait = file.locked_until - now
        raise LockedOut(f"Too many wrong attempts. Wait {wait} seconds and try again.", retry_after=wait)
    try:
        raw = unwrap(file, kind, secret)
    except WrongPassphrase:
        if kind is not SlotKind.HOST:
            write(path, _after_failure(file, now))
        raise
    if file.failures:
        write(path, replace(file, failures=0, locked_until=0))
    return raw


def read(path: Path) -> KeyFile:
    """Parse a key file; StoreMissing when there is none, StoreDamaged when it is not ours."""
    try:
        raw = json.loads(path.read_bytes())
        return KeyFile(
            slots=tuple(slot_from(item) for item in raw["slots"]),
            failures=int(raw["failures"]),
            locked_until=int(raw["locked_until"]),
            database=_database_name(raw.get("database", DATABASE)),
        )
    except FileNotFoundError:
        raise StoreMissing(f"There is no wallet in {path.parent}. Create one with `init`.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreDamaged(f"The key file {path} is damaged. Restore it from your backup.") from error


def write(path: Path, file: KeyFile) -> None:
    """Replace the key file in one step, readable by its owner alone and durable before the old one is gone."""
    body = {
        "version": 1,
        "failures": file.failures,
        "locked_until": file.locked_until,
        "database": file.database,
        "slots": [slot_to(slot) for slot in file.slots],
    }
    temporary = path.with_suffix(".tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(json.dumps(body, indent=1).encode())
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def replace_slot(file: KeyFile, slot: Slot) -> KeyFile:
    """The same file with the slot of that kind exchanged or added."""
    others: Sequence[Slot] = [old for old in file.slots if old.kind is not slot.kind]
    return replace(file, slots=(*others, slot))


def _database_name(name: str) -> str:
    if DATABASE_NAME.fullmatch(name) is None:
        raise ValueError(
            "not a name of a wallet's database"
        )  # a planted name must not lead out of the folder
    return name


def _slot_key(slot: Slot, secret: Secret) -> bytes:
    if slot.kind is SlotKind.HOST:
        # A host key is 32 random bytes already: nothing to stretch, only to separate per wallet.
        return blake2b(
            slot.salt, key=secret.reveal(), digest_size=KEY_BYTES, person=b"cssi/v1/hostslot"
        ).digest()
    return hash_secret_raw(
        secret.reveal(),
        slot.salt,
        slot.passes,
        slot.memory_kib,
        parallelism=1,
        hash_len=KEY_BYTES,
        type=Type.ID,
    )


def _after_failure(file: KeyFile, now: int) -> KeyFile:
    failures = file.failures + 1
    excess = failures - FREE_ATTEMPTS
    wait = min(2**excess, LONGEST_LOCK_SECONDS) if excess > 0 else 0
    return replace(file, failures=failures, locked_until=now + wait if wait else 0)


def slot_to(slot: Slot) -> dict[str, Any]:
    """For the key file and for a backup's head."""
    return {
        "kind": slot.kind.value,
        "salt": slot.salt.hex(),
        "nonce": slot.nonce.hex(),
        "wrapped": slot.wrapped.hex(),
        "memory_kib": slot.memory_kib,
        "passes": slot.passes,
    }


def slot_from(item: dict[str, Any]) -> Slot:
    """Raises ValueError, KeyError or TypeError for what is not a slot."""
    memory, passes = int(item["memory_kib"]), int(item["passes"])
    if not (0 <= memory <= 4_194_304 and 0 <= passes <= 64):
        # A planted file must not be able to make this machine spend an hour or all its memory on one attempt.
        raise ValueError("cost out of range")
    return Slot(
        kind=SlotKind(item["kind"]),
        salt=bytes.fromhex(item["salt"]),
        nonce=bytes.fromhex(item["nonce"]),
        wrapped=bytes.fromhex(item["wrapped"]),
        memory_kib=memory,
        passes=passes,
    )
