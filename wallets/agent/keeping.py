"""Looking after a wallet's folder: change its secrets, exchange its key, list wallets, delete one for good.

Changing the passphrase or the recovery code re-wraps the raw key in one slot and leaves the database alone. After a suspected
leak that is not enough (whoever has the old key file and the old passphrase has the raw key): `rekey` writes a whole new
database under a new raw key, takes it into use by replacing the key file in one step, and only then removes the old one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from aggregation.wire.secret import Secret
from wallets.agent import keyfile, vault
from wallets.agent.errors import BadData, StoreError, WalletError
from wallets.agent.in_use import alone
from wallets.agent.keyfile import Argon2Cost, KeyFile, SlotKind
from wallets.agent.vault import KEYS, AskarStore, StorePool

ENTROPY = Callable[[int], bytes]
WALLET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_OURS = re.compile(r"wallet(-[0-9a-f]{16})?\.db(-wal|-shm|-journal)?")


@dataclass(frozen=True, kw_only=True)
class WalletFolder:
    """What can be said of a wallet without opening it. `size` in bytes; `locked_until` unix seconds, 0 when not locked out."""

    name: str
    path: Path
    size: int
    opened_by: tuple[str, ...]
    locked_until: int


def change_passphrase(
    directory: Path,
    kind: SlotKind,
    secret: Secret,
    new: Secret,
    *,
    now: int,
    rng: ENTROPY,
    cost: Argon2Cost | None = None,
) -> None:
    """Re-wrap the passphrase slot after opening another (or the old) slot; the store itself is not touched.

    Raises WrongPassphrase, LockedOut, StoreMissing, StoreDamaged.
    """
    _put_slot(directory, kind, secret, SlotKind.PASSPHRASE, new, now=now, rng=rng, cost=cost)


def new_recovery_code(
    directory: Path,
    kind: SlotKind,
    secret: Secret,
    *,
    now: int,
    rng: ENTROPY,
    cost: Argon2Cost | None = None,
) -> str:
    """Replace the recovery code; the old one opens nothing any more, except backups made before."""
    code = keyfile.new_recovery_code(rng)
    _put_slot(directory, kind, secret, SlotKind.RECOVERY, Secret(code.encode()), now=now, rng=rng, cost=cost)
    return code


def _put_slot(
    directory: Path,
    kind: SlotKind,
    secret: Secret,
    changed: SlotKind,
    new: Secret,
    *,
    now: int,
    rng: ENTROPY,
    cost: Argon2Cost | None,
) -> None:
    path = directory / KEYS
    raw = keyfile.open_guarded(path, kind, secret, now=now)
    slot = keyfile.make_slot(changed, new, raw, rng=rng, cost=cost or Argon2Cost())
    raw.erase()
    keyfile.write(path, keyfile.replace_slot(keyfile.read(path), slot))


async def rekey(
    directory: Path,
    passphrase: Secret,
    *,
    now: int,
    rng: ENTROPY,
    cost: Argon2Cost | None = None,
) -> str:
    """Write everything into a new database under a new raw key; returns the new recovery code.

    The old database is overwritten as far as the file system lets us, then removed. A crash at any moment leaves either the
    whole old wallet or the whole new one. Raises WrongPassphrase, LockedOut, StoreError (store_busy), StoreDamaged.
    """
    cost = cost or Argon2Cost()
    old_raw = keyfile.open_guarded(directory / KEYS, SlotKind.PASSPHRASE, passphrase, now=now)
    with alone(directory):
        file = keyfile.read(directory / KEYS)
        raw, name = vault.new_raw_key(), f"wallet-{rng(8).hex()}.db"
        await vault.provision(directory / name, raw)
        source = AskarStore(directory / file.database, old_raw, StorePool(), shared=False)
        target = AskarStore(directory / name, raw, StorePool(), shared=False)
        try:
            records = await source.everything()
            await target.fill(records)
            if await target.everything() != records:
                raise StoreError("The new database does not hold what the old one held. Nothing was changed.")
            code = keyfile.new_recovery_code(rng)
            slots = (
                keyfile.make_slot(SlotKind.PASSPHRASE, passphrase, raw, rng=rng, cost=cost),
                keyfile.make_slot(SlotKind.RECOVERY, Secret(code.encode()), raw, rng=rng, cost=cost),
            )
        except BaseException:
            await _close_both(source, target)
            _remove_databases(directory, keep=file.database)
            raise
        await _close_both(source, target)
        keyfile.write(directory / KEYS, KeyFile(slots=slots, database=name))
        _remove_databases(directory, keep=name)
    return code


async def _close_both(source: AskarStore, target: AskarStore) -> None:
    await source.close()
    await target.close()


def sweep(directory: Path) -> None:
    """Remove databases a crash left behind. Does nothing while another process uses the wallet."""
    try:
        with alone(directory):
            _remove_databases(directory, keep=keyfile.read(directory / KEYS).database)
    except StoreError:
        return


def destroy(directory: Path) -> None:
    """Delete a wallet for good: first the keys (nothing opens the rest from then on), then the database, then the folder.

    Needs no passphrase, as deleting a folder needs none. Files that are not a wallet's are left and so is their folder.
    Raises StoreMissing, StoreError (store_busy).
    """
    if not (directory / KEYS).exists():
        keyfile.read(directory / KEYS)  # says in its own words what is missing
    with alone(directory):
        _overwrite(directory / KEYS)
        _remove_databases(directory, keep=None)
        for path in directory.iterdir():
            if path.name in {"use.lock", "locked", "keys.tmp"}:
                path.unlink()
    if not any(directory.iterdir()):
        directory.rmdir()


def list_wallets(home: Path, *, now: int) -> list[WalletFolder]:
    """All wallets directly in a folder, by name. A damaged one is listed with nothing that opens it."""
    found = []
    for path in sorted(home.iterdir()) if home.is_dir() else ():
        if not (path / KEYS).is_file():
            continue
        try:
            file = keyfile.read(path / KEYS)
        except WalletError:
            file = KeyFile(slots=())
        sizes = [entry.stat().st_size for entry in path.iterdir() if _OURS.fullmatch(entry.name)]
        found.append(
            WalletFolder(
                name=path.name,
                path=path,
                size=sum(sizes),
                opened_by=tuple(slot.kind.value for slot in file.slots),
                locked_until=file.locked_until if file.locked_until > now else 0,
            )
        )
    return found


def check_wallet_name(name: str) -> str:
    """A wallet's name is one plain word, because it becomes a folder. Raises BadData."""
    if WALLET_NAME.fullmatch(name) is None:
        raise BadData("A wallet's name has 1 to 40 small letters, digits and hyphens.")
    return name


def without_failures(file: KeyFile) -> KeyFile:
    """The same slots as of a wallet nobody guessed at."""
    return replace(file, failures=0, locked_until=0)


def _remove_databases(directory: Path, *, keep: str | None) -> None:
    for path in sorted(directory.iterdir()):
        kept = keep is not None and (path.name == keep or path.name.startswith(f"{keep}-"))
        if _OURS.fullmatch(path.name) and not kept:
            _overwrite(path)


def _overwrite(path: Path) -> None:
    """Zeros over a file, to the disk, then gone. What a copy-on-write or flash medium keeps below is out of reach.

    A store just closed still takes its shared-memory file away in a thread of its own: whoever comes first removes it.
    """
    try:
        handle = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        return
    try:
        size = os.fstat(handle).st_size
        for start in range(0, size, 1 << 20):
            os.pwrite(handle, bytes(min(1 << 20, size - start)), start)
        os.fsync(handle)
    finally:
        os.close(handle)
    path.unlink(missing_ok=True)
