"""The encrypted store: what is on disk, what opens it, what stays after a removal."""

from __future__ import annotations

import asyncio
import secrets
import stat
from pathlib import Path

import pytest

from aggregation.wire.secret import Secret
from wallets.agent import keeping, keyfile, vault
from wallets.agent.errors import (
    LockedOut,
    StoreDamaged,
    StoreError,
    StoreExists,
    StoreMissing,
    WrongPassphrase,
)
from wallets.agent.keyfile import Argon2Cost, SlotKind
from wallets.agent.vault import StorePool

CHEAP = Argon2Cost(memory_kib=64, passes=1)
PASSPHRASE = b"correct horse battery"
NOW = 1_700_000_000


async def made(directory: Path) -> tuple[vault.AskarStore, str]:
    store, code = await vault.create(
        directory, rng=secrets.token_bytes, passphrase=Secret(PASSPHRASE), cost=CHEAP
    )
    assert code is not None
    return store, code


def everything(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file())


async def at_rest(directory: Path) -> Path:
    """Wait for the files of a store that was shut: Askar's threads let go of SQLite, and SQLite of its log, a moment later."""
    for _ in range(1000):
        if not any(directory.rglob("*-wal")):
            return directory
        await asyncio.sleep(0.01)
    raise AssertionError(f"a store in {directory} is still open")


async def test_a_value_comes_back_after_reopening(tmp_path: Path) -> None:
    store, _ = await made(tmp_path / "w")
    await store.put("record", "main", {"age": 41})
    await store.close()
    store = await vault.open_with(tmp_path / "w", SlotKind.PASSPHRASE, Secret(PASSPHRASE), now=NOW)
    assert await store.get("record", "main") == {"age": 41}
    assert await store.get("record", "other") is None
    await store.close()


async def test_the_recovery_code_opens_it_as_people_type_it(tmp_path: Path) -> None:
    store, code = await made(tmp_path / "w")
    await store.put("record", "main", {"age": 41})
    await store.close()
    typed = code.lower().replace("-", " ").replace("0", "o")
    store = await vault.open_with(tmp_path / "w", SlotKind.RECOVERY, Secret(typed.encode()), now=NOW)
    assert await store.get("record", "main") == {"age": 41}
    await store.close()


async def test_no_plaintext_is_on_disk(tmp_path: Path) -> None:
    store, _ = await made(tmp_path / "w")
    await store.put("kategorie-klartext", "name-klartext", {"feld": "wert-klartext"})
    open_files = everything(tmp_path)
    await store.close()
    closed_files = everything(await at_rest(tmp_path))
    for raw in (open_files, closed_files):
        assert len(raw) > 4096
        for word in (b"klartext", b"feld", PASSPHRASE):
            assert word not in raw


async def test_files_belong_to_their_owner_alone(tmp_path: Path) -> None:
    store, _ = await made(tmp_path / "w")
    await store.put("record", "main", {"age": 41})
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "w").iterdir()}
    assert stat.S_IMODE((tmp_path / "w").stat().st_mode) == 0o700
    assert modes["keys.json"] == 0o600
    assert modes["wallet.db"] == 0o600
    assert all(mode & 0o077 == 0 for mode in modes.values())
    await store.close()


async def test_a_removed_record_leaves_the_file_only_with_erase(tmp_path: Path) -> None:
    """The stored ciphertext of the permit's row is looked for in the raw file before and after."""
    store, _ = await made(tmp_path / "w")
    await store.put("permit", "collective", {"key": "f" * 6000})
    await store.put("record", "main", {"age": 41})
    await store.shut()
    with_permit = everything(await at_rest(tmp_path / "w"))
    pieces = rows_only_with_permit = [with_permit[i : i + 64] for i in range(0, len(with_permit) - 64, 64)]
    assert await store.remove("permit", "collective")
    await store.shut()
    removed = everything(await at_rest(tmp_path / "w"))
    still_there = [piece for piece in pieces if piece in removed and piece.count(piece[0]) < 32]
    assert await store.erase()
    erased = everything(tmp_path / "w")
    left = [piece for piece in still_there if piece in erased]
    assert len(still_there) - len(left) > 60  # about 6,000 bytes of ciphertext were still in free pages
    assert await store.get("record", "main") == {"age": 41}
    assert rows_only_with_permit
    await store.close()


async def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    store, _ = await made(tmp_path / "w")
    with pytest.raises(ZeroDivisionError):
        async with store.transaction() as records:
            await records.put("permit", "a", {"v": 1})
            raise ZeroDivisionError
    assert await store.get("permit", "a") is None
    async with store.transaction() as records:
        await records.put("permit", "a", {"v": 1})
        await records.put("permit", "a", {"v": 2})
        assert await records.list("permit") == {"a": {"v": 2}}
    assert await store.list("permit") == {"a": {"v": 2}}
    await store.close()


async def test_remove_says_whether_there_was_something(tmp_path: Path) -> None:
    store, _ = await made(tmp_path / "w")
    assert not await store.remove("permit", "a")
    await store.put("permit", "a", {})
    assert await store.remove("permit", "a")
    await store.close()


async def test_a_wrong_passphrase_is_named_and_locks_out_in_growing_steps(tmp_path: Path) -> None:
    store, _ = await made(tmp_path / "w")
    await store.close()
    wrong = Secret(b"wrong passphrase")
    for _ in range(keyfile.FREE_ATTEMPTS + 1):
        with pytest.raises(WrongPassphrase):
            await vault.open_with(tmp_path / "w", SlotKind.PASSPHRASE, wrong, now=NOW)
    with pytest.raises(LockedOut) as first:
        await vault.open_with(tmp_path / "w", SlotKind.PASSPHRASE, Secret(PASSPHRASE), now=NOW)
    assert first.value.retry_after == 2
    with pytest.raises(WrongPassphrase):
        await vault.open_with(tmp_path / "w", SlotKind.PASSPHRASE, wrong, now=NOW + 2)
    with pytest.raises(LockedOut) as second:
        await vault.open_with(tmp_path / "w", SlotKind.PASSPHRASE, wrong, now=NOW + 3)
    assert second.value.retry_after == 3
    store = await vault.open_with(tmp_path / "w", SlotKind.PASSPHRASE, Secret(PASSPHRASE), now=NOW + 10)
    assert keyfile.read(tmp_path / "w" / "keys.json").failures == 0
    await store.close()


async def test_a_changed_passphrase_replaces_the_old_one(tmp_path: Path) -> None:
    store, code = await made(tmp_path / "w")
    await store.put("record", "main", {"age": 41})
    await store.close()
    new = Secret(b"a new passphrase")
    keeping.change_passphrase(
        tmp_path / "w",
        SlotKind.RECOVERY,
        Secret(code.encode()),
        new,
        now=NOW,
        rng=secrets.token_bytes,
        cost=CHEAP,
    )
    with pytest.raises(WrongPassphrase):
        await vault.open_with(tmp_path / "w", SlotKind.PASSPHRASE, Secret(PASSPHRASE), now=NOW)
    store = await vault.open_with(tmp_path / "w", SlotKind.PASSPHRASE, new, now=NOW)
    assert await store.get("record", "main") == {"age": 41}
    await store.close()


async def test_a_wallet_is_never_overwritten_and_a_missing_one_is_named(tmp_path: Path) -> None:
    store, _ = await made(tmp_path / "w")
    await store.close()
    with pytest.raises(StoreExists):
        await made(tmp_path / "w")
    with pytest.raises(StoreMissing):
        await vault.open_with(tmp_path / "nothing", SlotKind.PASSPHRASE, Secret(PASSPHRASE), now=NOW)


async def test_damage_is_named(tmp_path: Path) -> None:
    store, _ = await made(tmp_path / "w")
    await store.close()
    (tmp_path / "w" / "keys.json").write_text("{")
    with pytest.raises(StoreDamaged):
        await vault.open_with(tmp_path / "w", SlotKind.PASSPHRASE, Secret(PASSPHRASE), now=NOW)
    with pytest.raises(StoreError):
        await store.get("record", "main")


async def test_a_key_file_of_another_wallet_does_not_open_this_database(tmp_path: Path) -> None:
    for name in ("a", "b"):
        store, _ = await made(tmp_path / name)
        await store.put("record", "main", {"age": 41})
        await store.close()
    (tmp_path / "a" / "keys.json").write_bytes((tmp_path / "b" / "keys.json").read_bytes())
    store = await vault.open_with(tmp_path / "a", SlotKind.PASSPHRASE, Secret(PASSPHRASE), now=NOW)
    with pytest.raises(StoreDamaged):
        await store.get("record", "main")


async def test_a_planted_cost_cannot_stall_this_machine(tmp_path: Path) -> None:
    store, _ = await made(tmp_path / "w")
    await store.close()
    path = tmp_path / "w" / "keys.json"
    path.write_text(path.read_text().replace('"passes": 1', '"passes": 100000'))
    with pytest.raises(StoreDamaged):
        await vault.open_with(tmp_path / "w", SlotKind.PASSPHRASE, Secret(PASSPHRASE), now=NOW)


async def test_a_host_opens_many_wallets_with_few_open_at_a_time(tmp_path: Path) -> None:
    pool, host_key = StorePool(limit=4), Secret(secrets.token_bytes(32))
    stores = []
    for number in range(12):
        store, code = await vault.create(
            tmp_path / str(number), rng=secrets.token_bytes, host_key=host_key, pool=pool
        )
        assert code is None
        stores.append(store)

    async def use(number: int) -> None:
        for round_number in range(3):
            await stores[number].put("n", str(round_number), {"wallet": number})

    await asyncio.gather(*(use(number) for number in range(12)))
    assert 0 < len(pool) <= 4
    for number, store in enumerate(stores):
        assert await store.list("n") == {str(i): {"wallet": number} for i in range(3)}
        await store.close()
    reopened = await vault.open_with(tmp_path / "7", SlotKind.HOST, host_key, now=NOW, pool=pool)
    assert (await reopened.get("n", "2")) == {"wallet": 7}
    await reopened.close()
    with pytest.raises(WrongPassphrase):
        await vault.open_with(tmp_path / "7", SlotKind.HOST, Secret(bytes(32)), now=NOW)


async def test_secrets_never_show_in_a_repr(tmp_path: Path) -> None:
    store, _ = await made(tmp_path / "w")
    await store.put("record", "main", {"age": "41-geheim"})
    assert "geheim" not in repr(store)
    assert "correct" not in repr(Secret(PASSPHRASE))
    await store.close()
