"""A wallet in one encrypted file, and a wallet again out of it, on this machine or another.

A restored wallet takes a mailbox key of its own and tells the market, so that what comes for the account reaches this copy alone.

Layout: magic ‖ length of the head (4 bytes, big-endian) ‖ head (JSON) ‖ AES-256-GCM of the records (JSON, deflated).
The head carries the wallet's own passphrase and recovery slots as they were, so whatever opened the wallet on the day of the
backup opens the backup, and the restored wallet is opened by the same. Everything before the ciphertext is authenticated.
The content key is derived from the raw key and the file's own salt; slots of a host stay behind, they open nothing elsewhere.

What does not come back: running jobs. A restored wallet may be older than what it already answered, and answering a second
time could undo the masking of the first; so its job keys and the rounds it was in are left out and it joins the next job.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from aggregation.wire.secret import Secret
from wallets.agent import journal, keyfile, letters, permits, vault
from wallets.agent.errors import BadData, StoreError, StoreExists
from wallets.agent.journal import Kind
from wallets.agent.keyfile import KeyFile, SlotKind
from wallets.agent.vault import KEYS, AskarStore, StorePool, WalletStore

MAGIC = b"CSSI-WALLET-BACKUP-1\n"
LARGEST_HEAD, LARGEST_BODY, LARGEST_RECORDS = 64 * 1024, 256 * 1024 * 1024, 1024 * 1024 * 1024
SUFFIX = ".cssi-backup"
LEFT_OUT = frozenset({"jobkey", "revealed"})
LAST = ("backup", "last")
Records = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Last:
    """The newest backup of this wallet: when it was made (unix seconds, 0 for never), and how many permits came after it."""

    at: int
    newer_permits: int


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A backup's head. `made` is unix seconds by the clock of the machine that made it."""

    made: int
    slots: tuple[keyfile.Slot, ...]
    salt: bytes
    nonce: bytes
    bound: bytes  # magic, length and head: what the ciphertext is bound to
    sealed: bytes


async def make(
    directory: Path, kind: SlotKind, secret: Secret, *, now: int, rng: Callable[[int], bytes]
) -> bytes:
    """The whole wallet as one file's bytes. Raises WrongPassphrase, LockedOut, StoreError (only_host_key), …"""
    raw = keyfile.open_guarded(directory / KEYS, kind, secret, now=now)
    file = keyfile.read(directory / KEYS)
    slots = [keyfile.slot_to(slot) for slot in file.slots if slot.kind is not SlotKind.HOST]
    if not slots:
        raise StoreError(
            "This wallet is opened by its host's key alone. Give it a passphrase first, then back it up.",
            code="only_host_key",
        )
    store = AskarStore(directory / file.database, Secret(raw.reveal()), StorePool())
    try:
        records = await store.everything()
    finally:
        await store.close()
    salt, nonce = rng(16), rng(12)
    head = json.dumps(
        {"version": 1, "made": now, "slots": slots, "salt": salt.hex(), "nonce": nonce.hex()},
        separators=(",", ":"),
    ).encode()
    bound = MAGIC + len(head).to_bytes(4, "big") + head
    plain = zlib.compress(json.dumps(records, separators=(",", ":")).encode(), 6)
    return bound + AESGCM(_content_key(raw, salt)).encrypt(nonce, plain, bound)


async def note(store: WalletStore, now: int) -> None:
    """Remember that a backup was made, and what was in it."""
    held = sorted(await _subscriptions(store))
    async with store.transaction() as records:
        await records.put(*LAST, {"at": now, "permits": held})
        await journal.append(records, now, Kind.SECURITY, sentence="A backup was made.")


async def last(store: WalletStore) -> Last:
    """What the newest backup lacks."""
    known = await store.get(*LAST) or {"at": 0, "permits": []}
    return Last(at=known["at"], newer_permits=len(await _subscriptions(store) - set(known["permits"])))


async def _subscriptions(store: WalletStore) -> set[str]:
    held = (permits.permit_of(stored) for stored in (await store.list("permit")).values())
    return {permit.subscription_key for permit in held if permit is not None}


def write(path: Path, body: bytes) -> None:
    """Write a backup beside whatever is there: never over another file. Raises BadData when the name is taken."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BadData(f"There is already a file {path}. Choose another name.") from None
    except OSError as error:
        raise BadData(f"The backup cannot be written to {path}: {error.strerror}.") from None
    with os.fdopen(handle, "wb") as out:
        out.write(body)
        out.flush()
        os.fsync(out.fileno())


def read(body: bytes) -> Backup:
    """The head of a backup. Raises BadData for what is not one; nothing secret is needed for this."""
    if len(body) > LARGEST_BODY:
        raise BadData("This file is larger than any backup of a wallet.")
    start = len(MAGIC) + 4
    size = int.from_bytes(body[len(MAGIC) : start], "big")
    if not body.startswith(MAGIC) or size > LARGEST_HEAD or len(body) < start + size + 16:
        raise BadData("This file is not a backup of a wallet, or it was cut short.")
    try:
        head = json.loads(body[start : start + size])
        if head["version"] != 1:
            raise BadData("This backup was made by a newer version. Use that version to restore it.")
        return Backup(
            made=int(head["made"]),
            slots=tuple(keyfile.slot_from(slot) for slot in head["slots"]),
            salt=bytes.fromhex(head["salt"]),
            nonce=bytes.fromhex(head["nonce"]),
            bound=body[: start + size],
            sealed=body[start + size :],
        )
    except (ValueError, KeyError, TypeError):
        raise BadData("The head of this backup is damaged.") from None


def open_records(backup: Backup, kind: SlotKind, secret: Secret) -> tuple[Secret, Records]:
    """The raw key and every record. Raises WrongPassphrase, or BadData when a single bit was changed."""
    raw = keyfile.unwrap(KeyFile(slots=backup.slots), kind, secret)
    try:
        plain = AESGCM(_content_key(raw, backup.salt)).decrypt(backup.nonce, backup.sealed, backup.bound)
    except (InvalidTag, ValueError):
        raise BadData("This backup was changed or damaged. Use another copy of it.") from None
    inflater = zlib.decompressobj()
    text = inflater.decompress(plain, LARGEST_RECORDS)
    if inflater.unconsumed_tail:
        raise BadData("This backup is larger than any wallet.")
    records: Records = json.loads(text)
    return raw, records


async def restore(
    body: bytes,
    directory: Path,
    kind: SlotKind,
    secret: Secret,
    *,
    now: int,
    rng: Callable[[int], bytes],
) -> AskarStore:
    """A new wallet folder out of a backup; returns its open store. Raises StoreExists, WrongPassphrase, BadData.

    The key file is written last: a restore that was interrupted leaves a folder that is not a wallet yet.
    """
    if (directory / KEYS).exists():
        raise StoreExists(f"There is already a wallet in {directory}. Choose another folder.")
    backup = read(body)
    raw, records = open_records(backup, kind, secret)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = directory / keyfile.DATABASE
    if database.exists():
        raise StoreExists(f"There is already a wallet's database in {directory}. Choose another folder.")
    await vault.provision(database, raw)
    store = AskarStore(database, raw, StorePool())
    try:
        await store.fill(without_running_jobs(records))
        async with store.transaction() as session:
            await letters.queue_move(session, rng, now=now)
            text = "Restored from a backup; running jobs were left out."
            await journal.append(session, now, Kind.RESTORED, sentence=text)
    except BaseException:
        await store.close()
        raise
    keyfile.write(directory / KEYS, KeyFile(slots=backup.slots))
    return store


def without_running_jobs(records: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Records:
    """Everything but job keys, revealed rounds, and the jobs in each collective's memory."""
    kept: Records = {
        category: {name: dict(value) for name, value in named.items()}
        for category, named in records.items()
        if category not in LEFT_OUT
    }
    for memory in kept.get("memory", {}).values():
        memory["jobs"] = []
    return kept


def _content_key(raw: Secret, salt: bytes) -> bytes:
    return blake2b(
        salt, key=blake2b(raw.reveal()).digest(), digest_size=32, person=b"cssi/v1/backup"
    ).digest()
