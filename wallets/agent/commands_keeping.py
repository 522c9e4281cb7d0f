"""Commands that look after the wallet itself: its secrets, its backup, its locking, its end."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import time

from aggregation.wire.secret import Secret
from wallets.agent import backup, integrity, journal, keeping, locking, terminal, vault
from wallets.agent.commands import opened
from wallets.agent.errors import BadData
from wallets.agent.journal import Kind
from wallets.agent.keyfile import SlotKind

DONE, FAILED = 0, 1


def _now() -> int:
    return int(time.time())


def _opening(options: argparse.Namespace) -> tuple[SlotKind, Secret]:
    """What the holder opens the wallet with: the passphrase, or the recovery code when asked for."""
    if options.recovery:
        return SlotKind.RECOVERY, terminal.recovery_code(options.recovery_file)
    return SlotKind.PASSPHRASE, terminal.passphrase(options.passphrase_file)


async def passphrase(options: argparse.Namespace) -> int:
    """Change the passphrase; with the recovery code when the old one is forgotten."""
    kind, secret = _opening(options)
    new = terminal.passphrase(options.new_passphrase_file, new=True, prompt="New passphrase: ")
    keeping.change_passphrase(options.wallet, kind, secret, new, now=_now(), rng=secrets.token_bytes)
    await _note(options, new, "The passphrase was changed.")
    print("The passphrase was changed. The old one no longer opens this wallet.")
    print("Backups made before today still open with the old one. If it may have leaked, use `rekey` too.")
    return DONE


async def recovery_code(options: argparse.Namespace) -> int:
    """Make a new recovery code and show it once."""
    secret = terminal.passphrase(options.passphrase_file)
    code = keeping.new_recovery_code(
        options.wallet, SlotKind.PASSPHRASE, secret, now=_now(), rng=secrets.token_bytes
    )
    await _note(options, secret, "The recovery code was replaced.")
    print(f"Recovery code (write it down, it is not shown again): {code}")
    return DONE


async def rekey(options: argparse.Namespace) -> int:
    """Exchange the key of the whole store after a suspected leak."""
    secret = terminal.passphrase(options.passphrase_file)
    code = await keeping.rekey(options.wallet, secret, now=_now(), rng=secrets.token_bytes)
    await _note(options, secret, "The wallet was written anew under a new key.")
    print("The wallet was written anew under a new key. What a thief may have copied opens nothing of it.")
    print(f"New recovery code (write it down, it is not shown again): {code}")
    return DONE


async def make_backup(options: argparse.Namespace) -> int:
    """Write the encrypted backup."""
    kind, secret = _opening(options)
    body = await backup.make(options.wallet, kind, secret, now=_now(), rng=secrets.token_bytes)
    backup.write(options.file, body)
    store = await vault.open_with(options.wallet, kind, secret, now=_now())
    try:
        await backup.note(store, _now())
    finally:
        await store.close()
    print(f"The backup is in {options.file} ({len(body) // 1024 + 1} KiB). Keep it on another machine.")
    print("It opens with the passphrase or the recovery code this wallet has today.")
    return DONE


async def restore(options: argparse.Namespace) -> int:
    """Make a wallet out of a backup."""
    kind, secret = _opening(options)
    try:
        body = options.file.read_bytes()
    except OSError as error:
        raise BadData(f"The backup {options.file} cannot be read: {error.strerror}.") from None
    store = await backup.restore(body, options.wallet, kind, secret, now=_now(), rng=secrets.token_bytes)
    held = len(await store.list("permit"))
    await store.close()
    print(f"Your wallet is in {options.wallet} again, with {held} subscriptions.")
    print("Running jobs were left out; it takes part again from each collective's next job.")
    print("Use it on one machine only: stop the old one, or delete its folder with `delete-wallet`.")
    return DONE


async def lock(options: argparse.Namespace) -> int:
    """Lock the wallet that runs in another process."""
    if await asyncio.to_thread(locking.request, options.wallet):
        print("Locked. Nobody answers for this wallet until you unlock it with `run`.")
        return DONE
    print("It is still open somewhere. End that process.")
    return FAILED


async def check(options: argparse.Namespace) -> int:
    """Read every record and verify every chain and signature of the wallet."""
    async with opened(options) as agent:
        found = await integrity.check(agent)
    for problem in found.problems:
        print(problem)
    if not found.problems:
        print(f"{found.records} records can be read; journal, permits and receipts are what was written.")
    return FAILED if found.problems else DONE


async def wallets(options: argparse.Namespace) -> int:
    """List the wallets of a folder."""
    found = keeping.list_wallets(options.home or options.wallet.absolute().parent, now=_now())
    if not found:
        print("There is no wallet here. Create one with `init`.")
        return DONE
    terminal.show(
        [
            [
                folder.name,
                f"{folder.size // 1024} KiB",
                ", ".join(folder.opened_by) or "damaged key file",
                terminal.when(folder.locked_until) if folder.locked_until else "",
            ]
            for folder in found
        ],
        ["wallet", "size", "opens with", "locked out until"],
    )
    return DONE


async def delete_wallet(options: argparse.Namespace) -> int:
    """Delete the whole wallet after its name was typed."""
    name = options.wallet.absolute().name
    if (options.confirm or terminal.line(f"Type the wallet's name ({name}) to delete it for good: ")) != name:
        raise BadData("The name does not match. Nothing was deleted.")
    keeping.destroy(options.wallet)
    print(
        f"The wallet {name} is deleted: its keys were overwritten first, so nothing opens what a disk may keep."
    )
    print("Collectives were not told; its permits ended with its keys.")
    return DONE


async def _note(options: argparse.Namespace, secret: Secret, sentence: str) -> None:
    """One journal entry about the wallet's own safety."""
    store = await vault.open_with(options.wallet, SlotKind.PASSPHRASE, secret, now=_now())
    try:
        await journal.Journal(store).append(_now(), Kind.SECURITY, sentence=sentence)
    finally:
        await store.close()
