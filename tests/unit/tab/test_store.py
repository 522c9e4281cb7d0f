"""The tab's vault: sealed records, slots, lock-out, erasing, idle lock, the journal's chain; and backups that go both ways."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aggregation.secagg.messages import PayoutOpening
from aggregation.wire import signing
from aggregation.wire.secret import Secret
from tests.unit.agent import documents
from tests.unit.tab.node import Script
from wallets.agent import backup, identity, vault
from wallets.agent.journal import Journal, Kind
from wallets.agent.keyfile import Argon2Cost, SlotKind
from wallets.agent.messages import KnownJob, Memory
from wallets.agent.vault import AskarStore

PHRASE, NOW = "correct horse battery", 1_800_000_000
CHEAP = Argon2Cost(memory_kib=64, passes=1)
COLLECTIVE = documents.Collective()


@pytest.fixture
async def tab() -> AsyncIterator[Script]:
    async with Script("store") as script:
        yield script


async def created(tab: Script) -> str:
    code: str = await tab.ask("create", passphrase=PHRASE)
    return code


async def kept_a_backup(tab: Script) -> str:
    body: str = await tab.ask("backup", kind="passphrase", secret=PHRASE, now=NOW)
    assert await tab.ask("confirm", body=body, kind="passphrase", secret=PHRASE, now=NOW) is None
    return body


async def test_nothing_is_kept_in_plain(tab: Script) -> None:
    code = await created(tab)
    await kept_a_backup(tab)
    await tab.ask("put", category="record", name="main", value={"diagnosis": "lupus"})
    await tab.ask("put", category="permit", name=COLLECTIVE.id, value={"permit": "granted"})
    kept = b"".join(bytes.fromhex(part) for part in await tab.ask("dump"))
    for word in (PHRASE, code, "lupus", "diagnosis", "granted", COLLECTIVE.id, "permit", "record", "journal"):
        assert word.encode() not in kept
    assert await tab.ask("get", category="record", name="main") == {"diagnosis": "lupus"}


async def test_equal_records_look_different_and_a_changed_bit_is_damage(tab: Script) -> None:
    await created(tab)
    before = set(await tab.ask("names"))
    await tab.ask("put", category="note", name="a", value={"x": 1})
    (name,) = set(await tab.ask("names")) - before
    first = set(await tab.ask("dump"))
    await tab.ask("put", category="note", name="a", value={"x": 1})
    assert first - set(await tab.ask("dump")), "the same value was sealed to the same bytes"
    for at in (20, -1):
        await tab.ask("spoil", name=name, at=40 if at < 0 else at)
        assert (await tab.ask("get", category="note", name="a"))["error"] == "store_damaged"
        await tab.ask("put", category="note", name="a", value={"x": 1})


async def test_no_data_before_a_backup_was_kept(tab: Script) -> None:
    await created(tab)
    refused = await tab.ask("put", category="record", name="main", value={"a": 1})
    assert refused["error"] == "backup_first"
    body = await tab.ask("backup", kind="passphrase", secret=PHRASE, now=NOW)
    damaged = body[:-2] + ("00" if body[-2:] != "00" else "11")
    said = await tab.ask("confirm", body=damaged, kind="passphrase", secret=PHRASE, now=NOW)
    assert said["error"] == "bad_data"
    await tab.ask("fresh")
    await created(tab)
    other = await tab.ask("confirm", body=body, kind="passphrase", secret=PHRASE, now=NOW)
    assert other["sentence"] == "This is the backup of another wallet."
    assert (await tab.ask("put", category="record", name="main", value={"a": 1}))["error"] == "backup_first"
    await kept_a_backup(tab)
    assert await tab.ask("put", category="record", name="main", value={"a": 1}) is None


async def test_a_transaction_is_all_or_nothing(tab: Script) -> None:
    await created(tab)
    assert (await tab.ask("half", category="note", name="a", value={"x": 1}))["error"] == "stopped"
    assert await tab.ask("get", category="note", name="a") is None


async def test_locking_forgets_the_keys_and_both_secrets_lead_back(tab: Script) -> None:
    code = await created(tab)
    await tab.ask("put", category="permit", name=COLLECTIVE.id, value={"x": 1})
    await tab.ask("lock")
    assert await tab.ask("locked") is True
    assert (await tab.ask("get", category="permit", name=COLLECTIVE.id))["error"] == "store_closed"
    for kind, secret in (("passphrase", PHRASE), ("recovery", code.lower().replace("-", " "))):
        assert await tab.ask("open", kind=kind, secret=secret, now=NOW) is None
        assert await tab.ask("get", category="permit", name=COLLECTIVE.id) == {"x": 1}


async def test_guessing_at_the_prompt_gets_slower(tab: Script) -> None:
    await created(tab)
    for attempt in range(6):
        wrong = await tab.ask("open", kind="passphrase", secret=f"guess {attempt}", now=NOW)
        assert wrong["error"] == "wrong_passphrase"
    assert (await tab.ask("open", kind="passphrase", secret=PHRASE, now=NOW + 1))["error"] == "locked_out"
    assert await tab.ask("open", kind="passphrase", secret=PHRASE, now=NOW + 2) is None
    assert (await tab.ask("open", kind="passphrase", secret="no", now=NOW + 3))["error"] == "wrong_passphrase"


async def test_it_locks_when_nobody_is_there(tab: Script) -> None:
    await created(tab)
    await tab.ask("lock_after", seconds=300)
    await tab.ask("tick", seconds=299, touch=True)
    await tab.ask("tick", seconds=299, touch=False)
    assert await tab.ask("locked") is False
    await tab.ask("tick", seconds=1, touch=True)  # too late: a touch after the time does not bring it back
    assert await tab.ask("locked") is True
    assert (await tab.ask("get", category="note", name="a"))["error"] == "store_closed"


async def test_the_key_of_a_deleted_permit_is_overwritten_where_it_lay(tab: Script) -> None:
    await created(tab)
    await tab.ask("put", category="permit", name="one", value={"x": 1})
    await tab.ask("put", category="keys", name="one", value={"x": 1})
    await tab.ask("put", category="jobkey", name="j", value={"collective_id": "one"})
    await tab.ask("put", category="permit", name="two", value={"x": 2})
    lay, other = await tab.ask("strip", slot=0), await tab.ask("strip", slot=1)
    for category, name in (("permit", "one"), ("keys", "one")):
        await tab.ask("remove", category=category, name=name)
    assert await tab.ask("erase") == 0, "a job key of it is still there"
    await tab.ask("remove", category="jobkey", name="j")
    sealed = await tab.ask("dump")
    assert lay in sealed
    assert await tab.ask("erase") == 1
    assert lay not in await tab.ask("dump")
    assert await tab.ask("strip", slot=1) == other
    assert await tab.ask("get", category="permit", name="two") == {"x": 2}
    await tab.ask(
        "put", category="permit", name="three", value={"x": 3}
    )  # the place is used again, with another key
    assert await tab.ask("strip", slot=0) not in {lay, other}
    await tab.ask("lock")
    await tab.ask("open", kind="passphrase", secret=PHRASE, now=NOW)
    assert await tab.ask("list", category="permit") == {"two": {"x": 2}, "three": {"x": 3}}


async def test_secrets_are_changed_without_touching_the_records(tab: Script) -> None:
    old = await created(tab)
    await tab.ask("put", category="note", name="a", value={"x": 1})
    how = {"kind": "passphrase", "secret": PHRASE, "now": NOW}
    assert await tab.ask("change", **how, changed="passphrase", next="another phrase") == "another phrase"
    fresh = await tab.ask("change", kind="recovery", secret=old, now=NOW, changed="recovery")
    for kind, secret in (("passphrase", PHRASE), ("recovery", old)):
        assert (await tab.ask("open", kind=kind, secret=secret, now=NOW))["error"] == "wrong_passphrase"
    for kind, secret in (("passphrase", "another phrase"), ("recovery", fresh)):
        assert await tab.ask("open", kind=kind, secret=secret, now=NOW) is None
    assert await tab.ask("get", category="note", name="a") == {"x": 1}


async def test_a_changed_journal_is_noticed_and_a_blanked_entry_is_not(tab: Script) -> None:
    await created(tab)
    for number in range(3):
        await tab.ask("journal", at=NOW, kind="outcome", entry={"round": number, "sentence": "ü"})
    broken = "\ud83e half a pair, as a server may send it"
    await tab.ask("journal", at=NOW, kind="outcome", entry={"sentence": broken})
    assert (await tab.ask("entries"))[-1]["sentence"] == broken.replace("\ud83e", "\ufffd")
    assert await tab.ask("verify") is None
    assert await tab.ask("blank", seq=1) is True
    assert await tab.ask("verify") is None
    entry = (await tab.ask("entries"))[2]
    await tab.ask("put", category="journal", name="000000000002", value={**entry, "sentence": "u"})
    assert await tab.ask("verify") == 2


# --- one backup, two programs -------------------------------------------------------------------------------------


async def agents_wallet(folder: Path) -> tuple[AskarStore, str, identity.SubscriptionKeys]:
    """A wallet of the Python agent with a subscription, a running job, data and a journal."""
    store, code = await vault.create(
        folder, rng=secrets.token_bytes, passphrase=Secret(PHRASE.encode()), cost=CHEAP
    )
    keys = identity.new_subscription_keys(secrets.token_bytes)
    permit = COLLECTIVE.sign("permit", COLLECTIVE.permit_document(subscription_key=keys.public.hex()))
    job = KnownJob(
        job_id="j", manifest_hash="aa", max_rounds=3, cohort=5, bucket_min=20, release_min=100,
        distributor_key="dd", aggregator_key="ee", expires=NOW, last_round=2,
    )  # fmt: skip
    async with store.transaction() as records:
        await records.put("record", "main", {"height": 4.0, "name": "Zoë — “quoted” 🧬"})
        await records.put("permit", COLLECTIVE.id, {"permit": permit, "terms": COLLECTIVE.terms_envelope})
        await records.put("keys", COLLECTIVE.id, keys.to_record())
        await records.put("memory", COLLECTIVE.id, Memory(jobs=(job,), visits=(NOW,)).to_record())
        await records.put("jobkey", "j", {"private": "11" * 32, "collective_id": COLLECTIVE.id})
        await records.put("revealed", "j:1", {"at": NOW, "collective_id": COLLECTIVE.id})
        await records.put("key", "mailbox", {"private": "22" * 32})
    await Journal(store).append(NOW, Kind.CREATED)
    await Journal(store).append(
        NOW, Kind.SUBSCRIBED, collective_id=COLLECTIVE.id, sentence="Zürich", amount="5"
    )
    assert code is not None
    return store, code, keys


@pytest.mark.parametrize("kind", ["passphrase", "recovery"])
async def test_what_the_agent_backed_up_opens_in_the_tab(tab: Script, tmp_path: Path, kind: str) -> None:
    store, code, keys = await agents_wallet(tmp_path / "w")
    kept = await store.everything()
    await store.close()
    secret = PHRASE if kind == "passphrase" else code
    body = await backup.make(
        tmp_path / "w", SlotKind(kind), Secret(secret.encode()), now=NOW, rng=secrets.token_bytes
    )
    wrong = await tab.ask("restore", body=body.hex(), kind=kind, secret="wrong", now=NOW)
    assert wrong["error"] == "wrong_passphrase"
    assert await tab.ask("restore", body=body.hex(), kind=kind, secret=secret, now=NOW) is None
    found = await tab.ask("everything")
    assert "jobkey" not in found
    assert "revealed" not in found
    for category in ("permit", "keys", "record"):
        assert found[category] == kept[category]
    assert found["memory"][COLLECTIVE.id] == {**kept["memory"][COLLECTIVE.id], "jobs": []}
    assert found["keys"][COLLECTIVE.id]["subscription"] == keys.subscription.reveal().hex()
    assert await tab.ask("verify") is None
    assert [entry["kind"] for entry in await tab.ask("entries")] == ["created", "subscribed", "restored"]
    assert await tab.ask("put", category="record", name="main", value={}) is None, "its backup exists"
    await moved(found, "22" * 32)


async def moved(found: dict[str, Any], old: str) -> None:
    """The copy took a mailbox key of its own and tells the market, signed by both."""
    (letter,) = found["outgoing"].values()
    body = letter["json"]
    assert letter["path"] == "wallets/move"
    assert found["key"]["mailbox"]["private"] != old
    signed = {
        "mailbox": bytes.fromhex(body["mailbox_key"]),
        "new_mailbox": bytes.fromhex(body["new_mailbox_key"]),
        "created": body["created"],
    }
    for key, signature in (("mailbox", "signature"), ("new_mailbox", "new_signature")):
        signing.verify(signed[key], b"cssi/v1/move", signed, bytes.fromhex(body[signature]))
    assert signing.public_key(Secret(bytes.fromhex(old))) == signed["mailbox"]


@pytest.mark.parametrize("kind", ["passphrase", "recovery"])
async def test_what_the_tab_backed_up_opens_in_the_agent(tab: Script, tmp_path: Path, kind: str) -> None:
    code = await created(tab)
    await kept_a_backup(tab)
    keys = identity.new_subscription_keys(secrets.token_bytes)
    permit = COLLECTIVE.sign("permit", COLLECTIVE.permit_document(subscription_key=keys.public.hex()))
    await tab.ask("put", category="permit", name=COLLECTIVE.id, value={"permit": permit})
    await tab.ask("put", category="keys", name=COLLECTIVE.id, value=keys.to_record())
    await tab.ask("put", category="record", name="main", value={"height": 4.5, "name": "Zoë 🧬"})
    await tab.ask("put", category="jobkey", name="j", value={"collective_id": COLLECTIVE.id})
    await tab.ask("opening", keys=keys.to_record(), agreement="cd" * 32)
    secret = PHRASE if kind == "passphrase" else code
    body = bytes.fromhex(await tab.ask("backup", kind=kind, secret=secret, now=NOW))
    store = await backup.restore(
        body, tmp_path / "w", SlotKind(kind), Secret(secret.encode()), now=NOW + 1, rng=secrets.token_bytes
    )
    assert await store.get("record", "main") == {"height": 4.5, "name": "Zoë 🧬"}
    assert await store.get("permit", COLLECTIVE.id) == {"permit": permit}
    assert (
        identity.SubscriptionKeys.from_record(await store.get("keys", COLLECTIVE.id) or {}).public
        == keys.public
    )
    assert await store.get("jobkey", "j") is None
    journal = Journal(store)
    assert await journal.verify() is None
    assert [entry.kind for entry in await journal.entries()] == ["created", "security", "restored"]
    (letter,) = (await store.list("outgoing")).values()
    opening = PayoutOpening.from_bytes(bytes.fromhex(letter["body"]))
    opening.verify()
    assert (opening.address, opening.salt) == (keys.payout_address, keys.payout_salt)
    await store.close()
    again = await vault.open_with(tmp_path / "w", SlotKind(kind), Secret(secret.encode()), now=NOW)
    assert await again.get("record", "main") is not None
    await again.close()


async def test_a_wallet_goes_there_and_back_and_nothing_is_lost(tab: Script, tmp_path: Path) -> None:
    store, _, _ = await agents_wallet(tmp_path / "w")
    await store.close()
    phrase = Secret(PHRASE.encode())
    there = await backup.make(tmp_path / "w", SlotKind.PASSPHRASE, phrase, now=NOW, rng=secrets.token_bytes)
    await tab.ask("restore", body=there.hex(), kind="passphrase", secret=PHRASE, now=NOW)
    await tab.ask("journal", at=NOW, kind="outcome", entry={"round": 7, "code": "done"})
    body = bytes.fromhex(await tab.ask("backup", kind="passphrase", secret=PHRASE, now=NOW))
    home = await backup.restore(
        body, tmp_path / "x", SlotKind.PASSPHRASE, phrase, now=NOW, rng=secrets.token_bytes
    )
    assert await Journal(home).verify() is None
    assert [e.kind for e in await Journal(home).entries()] == [
        *("created", "subscribed", "restored", "outcome", "restored")
    ]
    assert (await home.get("record", "main") or {})["name"] == "Zoë — “quoted” 🧬"
    await home.close()


async def test_a_damaged_backup_restores_nothing(tab: Script) -> None:
    await created(tab)
    body = bytes.fromhex(await kept_a_backup(tab))
    await tab.ask("fresh")
    for at in (0, 22, 60, len(body) // 2, len(body) - 1):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        said = await tab.ask("restore", body=changed.hex(), kind="passphrase", secret=PHRASE, now=NOW)
        assert said["error"] in {"bad_data", "wrong_passphrase"}, at
    for cut in (b"", body[:10], body[:40], body[:-1]):
        said = await tab.ask("restore", body=cut.hex(), kind="passphrase", secret=PHRASE, now=NOW)
        assert said["error"] == "bad_data"
    assert await tab.ask("names") == []


@pytest.mark.long
async def test_a_backup_at_the_agents_full_cost_opens_in_the_tab(tab: Script, tmp_path: Path) -> None:
    store, code = await vault.create(
        tmp_path / "w", rng=secrets.token_bytes, passphrase=Secret(PHRASE.encode())
    )
    await store.put("record", "main", {"a": 1})
    await store.close()
    assert code is not None
    phrase = Secret(PHRASE.encode())
    body = await backup.make(tmp_path / "w", SlotKind.PASSPHRASE, phrase, now=NOW, rng=secrets.token_bytes)
    assert await tab.ask("restore", body=body.hex(), kind="passphrase", secret=PHRASE, now=NOW) is None
    assert (await tab.ask("slots"))[0]["memory_kib"] == 65_536
