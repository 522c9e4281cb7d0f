"""Looking after the folder: secrets changed, key exchanged, backed up, restored elsewhere, deleted; and who has it open."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from aggregation.wire import signing
from aggregation.wire.secret import Secret
from tests.unit.agent.test_vault import CHEAP, NOW, PASSPHRASE, at_rest, everything, made
from wallets.agent import backup, keeping, keyfile, vault
from wallets.agent.errors import BadData, StoreError, StoreExists, StoreMissing, WrongPassphrase
from wallets.agent.journal import Journal, Kind
from wallets.agent.keyfile import SlotKind

NEW = Secret(b"another passphrase")


async def opened(directory: Path, secret: bytes = PASSPHRASE) -> vault.AskarStore:
    return await vault.open_with(directory, SlotKind.PASSPHRASE, Secret(secret), now=NOW)


async def test_a_new_recovery_code_replaces_the_old_one(tmp_path: Path) -> None:
    store, old = await made(tmp_path / "w")
    await store.close()
    code = keeping.new_recovery_code(
        tmp_path / "w",
        SlotKind.PASSPHRASE,
        Secret(PASSPHRASE),
        now=NOW,
        rng=secrets.token_bytes,
        cost=CHEAP,
    )
    with pytest.raises(WrongPassphrase):
        await vault.open_with(tmp_path / "w", SlotKind.RECOVERY, Secret(old.encode()), now=NOW)
    store = await vault.open_with(tmp_path / "w", SlotKind.RECOVERY, Secret(code.encode()), now=NOW)
    await store.close()
    await (await opened(tmp_path / "w")).close()


async def test_rekey_leaves_nothing_that_the_old_key_opens(tmp_path: Path) -> None:
    """A thief with the old key file, the old database and the old passphrase has the past, and nothing of the present."""
    store, old_code = await made(tmp_path / "w")
    await store.put("record", "main", {"age": 41})
    await store.put("permit", "c", {"key": "k" * 400})
    await store.close()
    stolen = keyfile.read(tmp_path / "w" / "keys.json")
    code = await keeping.rekey(
        tmp_path / "w", Secret(PASSPHRASE), now=NOW, rng=secrets.token_bytes, cost=CHEAP
    )
    file = keyfile.read(tmp_path / "w" / "keys.json")
    assert file.database != stolen.database
    assert [path.name for path in (tmp_path / "w").glob("*.db")] == [file.database]
    old_raw = keyfile.unwrap(stolen, SlotKind.PASSPHRASE, Secret(PASSPHRASE))
    thief = vault.AskarStore(tmp_path / "w" / file.database, old_raw, vault.StorePool())
    with pytest.raises(StoreError):
        await thief.get("record", "main")
    with pytest.raises(WrongPassphrase):
        await vault.open_with(tmp_path / "w", SlotKind.RECOVERY, Secret(old_code.encode()), now=NOW)
    store = await vault.open_with(tmp_path / "w", SlotKind.RECOVERY, Secret(code.encode()), now=NOW)
    assert await store.get("record", "main") == {"age": 41}
    assert await store.get("permit", "c") == {"key": "k" * 400}
    await store.close()


async def test_rekey_waits_for_nobody_and_changes_nothing_while_the_wallet_is_open(tmp_path: Path) -> None:
    store, _ = await made(tmp_path / "w")
    await store.put("record", "main", {"age": 41})
    before = keyfile.read(tmp_path / "w" / "keys.json")
    with pytest.raises(StoreError) as raised:
        await keeping.rekey(tmp_path / "w", Secret(PASSPHRASE), now=NOW, rng=secrets.token_bytes, cost=CHEAP)
    assert raised.value.code == "store_busy"
    assert keyfile.read(tmp_path / "w" / "keys.json") == before
    await store.close()


async def test_a_crash_in_the_middle_of_a_rekey_leaves_the_old_wallet_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = await made(tmp_path / "w")
    await store.put("record", "main", {"age": 41})
    await store.close()

    def pull_the_plug(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(keyfile, "write", pull_the_plug)
    with pytest.raises(KeyboardInterrupt):
        await keeping.rekey(tmp_path / "w", Secret(PASSPHRASE), now=NOW, rng=secrets.token_bytes, cost=CHEAP)
    monkeypatch.undo()
    store = await opened(tmp_path / "w")
    assert await store.get("record", "main") == {"age": 41}
    await store.close()
    assert len(list((tmp_path / "w").glob("*.db"))) == 2
    keeping.sweep(tmp_path / "w")
    assert len(list((tmp_path / "w").glob("*.db"))) == 1
    store = await opened(tmp_path / "w")
    assert await store.get("record", "main") == {"age": 41}
    await store.close()


async def test_a_backup_is_one_file_without_plaintext_and_restores_elsewhere(tmp_path: Path) -> None:
    store, code = await made(tmp_path / "w")
    async with store.transaction() as records:
        await records.put("record", "main", {"beruf": "klartext-wert"})
        await records.put("permit", "c", {"offer_ref": "klartext-permit"})
        await records.put("jobkey", "j", {"private": "00" * 32, "collective_id": "c"})
        await records.put("revealed", "j:1", {"collective_id": "c"})
        await records.put(
            "memory", "c", {"notices": [], "jobs": [{"job_id": "j"}], "visits": [5], "paused": True}
        )
    journal = Journal(store)
    await journal.append(NOW, Kind.CREATED)
    body = await backup.make(
        tmp_path / "w", SlotKind.PASSPHRASE, Secret(PASSPHRASE), now=NOW, rng=secrets.token_bytes
    )
    await store.close()
    for word in (b"klartext", b"beruf", b"permit", PASSPHRASE):
        assert word not in body
    for number, (kind, secret) in enumerate(
        [(SlotKind.PASSPHRASE, PASSPHRASE), (SlotKind.RECOVERY, code.lower().encode())]
    ):
        there = tmp_path / f"elsewhere{number}"
        restored = await backup.restore(
            body, there, kind, Secret(secret), now=NOW + 5, rng=secrets.token_bytes
        )
        assert await restored.get("record", "main") == {"beruf": "klartext-wert"}
        assert await restored.get("permit", "c") == {"offer_ref": "klartext-permit"}
        assert await restored.get("jobkey", "j") is None
        assert await restored.get("revealed", "j:1") is None
        memory = await restored.get("memory", "c")
        assert memory == {"notices": [], "jobs": [], "visits": [5], "paused": True}
        assert await Journal(restored).verify() is None
        assert [entry.kind for entry in await Journal(restored).entries()] == ["created", "restored"]
        await restored.close()
        reopened = await opened(there)
        assert await reopened.get("record", "main") == {"beruf": "klartext-wert"}
        await reopened.close()
        assert b"klartext" not in everything(await at_rest(there))
        with pytest.raises(StoreExists):
            await backup.restore(body, there, kind, Secret(secret), now=NOW, rng=secrets.token_bytes)


async def test_a_damaged_or_foreign_backup_is_refused_and_makes_no_wallet(tmp_path: Path) -> None:
    store, _ = await made(tmp_path / "w")
    await store.put("record", "main", {"age": 41})
    await store.close()
    body = await backup.make(
        tmp_path / "w", SlotKind.PASSPHRASE, Secret(PASSPHRASE), now=NOW, rng=secrets.token_bytes
    )
    right = Secret(PASSPHRASE)
    for position in (0, len(backup.MAGIC) + 6, len(body) // 2, len(body) - 1):
        changed = bytearray(body)
        changed[position] ^= 1
        with pytest.raises((BadData, WrongPassphrase)):
            await backup.restore(
                bytes(changed), tmp_path / "r", SlotKind.PASSPHRASE, right, now=NOW, rng=secrets.token_bytes
            )
    for cut in (b"", body[:40], body[:-1], b"x" * 400):
        with pytest.raises(BadData):
            await backup.restore(
                cut, tmp_path / "r", SlotKind.PASSPHRASE, right, now=NOW, rng=secrets.token_bytes
            )
    with pytest.raises(WrongPassphrase):
        await backup.restore(
            body, tmp_path / "r", SlotKind.PASSPHRASE, Secret(b"wrong one"), now=NOW, rng=secrets.token_bytes
        )
    assert not (tmp_path / "r" / "keys.json").exists()
    backup.write(tmp_path / "b", body)
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    with pytest.raises(BadData):
        backup.write(tmp_path / "b", body)


async def test_a_head_moved_onto_another_body_does_not_open(tmp_path: Path) -> None:
    store, _ = await made(tmp_path / "w")
    await store.put("record", "main", {"age": 41})
    await store.close()

    async def one(now: int) -> bytes:
        return await backup.make(
            tmp_path / "w", SlotKind.PASSPHRASE, Secret(PASSPHRASE), now=now, rng=secrets.token_bytes
        )

    first, second = backup.read(await one(NOW)), backup.read(await one(NOW + 1))
    mixed = first.bound + second.sealed
    with pytest.raises(BadData):
        backup.open_records(backup.read(mixed), SlotKind.PASSPHRASE, Secret(PASSPHRASE))


async def test_deleting_a_wallet_overwrites_its_keys_first(tmp_path: Path) -> None:
    store, _ = await made(tmp_path / "w")
    await store.put("record", "main", {"age": 41})
    with pytest.raises(StoreError):
        keeping.destroy(tmp_path / "w")
    await store.close()
    twin = tmp_path / "twin"
    os.link(tmp_path / "w" / "keys.json", twin)  # a second name keeps the same blocks reachable
    keeping.destroy(tmp_path / "w")
    assert not (tmp_path / "w").exists()
    assert set(twin.read_bytes()) == {0}
    with pytest.raises(StoreMissing):
        keeping.destroy(tmp_path / "w")


async def test_wallets_are_listed_without_opening_them(tmp_path: Path) -> None:
    for name in ("work", "home"):
        store, _ = await made(tmp_path / name)
        await store.close()
    (tmp_path / "other").mkdir()
    found = keeping.list_wallets(tmp_path, now=NOW)
    assert [(folder.name, folder.opened_by) for folder in found] == [
        ("home", ("passphrase", "recovery")),
        ("work", ("passphrase", "recovery")),
    ]
    assert all(folder.size > 4096 for folder in found)
    assert keeping.list_wallets(tmp_path / "nothing", now=NOW) == []
    for bad in ("", "../x", "A", "a/b", "x" * 41):
        with pytest.raises(BadData):
            keeping.check_wallet_name(bad)


async def test_another_process_that_has_it_open_is_noticed(tmp_path: Path) -> None:
    """The same rule holds between processes, and a process that is killed gives the wallet back."""
    store, _ = await made(tmp_path / "w")
    await store.close()
    code = (
        "import sys, time; from pathlib import Path; from wallets.agent.in_use import SharedUse; "
        "SharedUse(Path(sys.argv[1])).take(); print('open', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "w")], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"open\n"
    with pytest.raises(StoreError):
        keeping.destroy(tmp_path / "w")
    other.kill()
    other.wait()
    keeping.destroy(tmp_path / "w")
    assert not (tmp_path / "w").exists()


async def test_a_restored_wallet_takes_a_mailbox_of_its_own(tmp_path: Path) -> None:
    """Both keys sign the move, and the letter waits in the outbox until the market takes it."""
    store, _ = await made(tmp_path / "w")
    old = signing.generate(secrets.token_bytes)
    await store.put("key", "mailbox", {"private": old.reveal().hex()})
    body = await backup.make(
        tmp_path / "w", SlotKind.PASSPHRASE, Secret(PASSPHRASE), now=NOW, rng=secrets.token_bytes
    )
    await store.close()
    restored = await backup.restore(
        body, tmp_path / "r", SlotKind.PASSPHRASE, Secret(PASSPHRASE), now=NOW, rng=secrets.token_bytes
    )
    kept = await restored.get("key", "mailbox")
    assert kept is not None
    new = signing.public_key(Secret(bytes.fromhex(kept["private"])))
    (letter,) = (await restored.list("outgoing")).values()
    sent = letter["json"]
    assert (letter["path"], sent["mailbox_key"]) == ("wallets/move", signing.public_key(old).hex())
    assert sent["new_mailbox_key"] == new.hex() != sent["mailbox_key"]
    signed = {"mailbox": signing.public_key(old), "new_mailbox": new, "created": NOW}
    signing.verify(signing.public_key(old), b"cssi/v1/move", signed, bytes.fromhex(sent["signature"]))
    signing.verify(new, b"cssi/v1/move", signed, bytes.fromhex(sent["new_signature"]))
    await restored.close()
