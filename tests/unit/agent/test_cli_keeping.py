"""The commands that look after the wallet: secrets, backup and restore, locking, several wallets, deletion."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import pytest

from tests.unit.agent import documents
from tests.unit.agent.conftest import Run
from tests.unit.agent.test_cli import GOOD, ROOT, csv
from tests.unit.agent.test_notices import closed, the_wallet
from tests.unit.agent.world import World
from wallets.agent import backup, cli, locking

NEXT = "another passphrase"


def file(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


async def recovery_of(run: Run, tmp_path: Path) -> str:
    said = await run("init")
    code = said.out.rsplit(": ", 1)[1].strip()
    return file(tmp_path / "code", code)


async def last_backup(directory: Path) -> backup.Last:
    agent = await the_wallet(directory)
    try:
        return await backup.last(agent.store)
    finally:
        await closed(agent)


async def test_a_forgotten_passphrase_is_replaced_with_the_recovery_code(run: Run, tmp_path: Path) -> None:
    code = await recovery_of(run, tmp_path)
    new = file(tmp_path / "new", NEXT)
    said = await run("passphrase", "--recovery", "--recovery-file", code, "--new-passphrase-file", new)
    assert (said.code, "was changed" in said.out) == (0, True)
    assert (await run("permits")).code == 1
    assert (await run("--passphrase-file", new, "permits")).code == 0
    short = file(tmp_path / "short", "short")
    said = await run("--passphrase-file", new, "passphrase", "--new-passphrase-file", short)
    assert (said.code, "at least 10" in said.err) == (2, True)
    journal = json.loads((await run("--passphrase-file", new, "visits", "--format", "json")).out)
    assert [entry["kind"] for entry in journal] == ["created", "security"]


async def test_rekey_shows_a_new_code_and_the_old_one_opens_nothing(run: Run, tmp_path: Path) -> None:
    old = await recovery_of(run, tmp_path)
    said = await run("rekey")
    assert (said.code, "New recovery code" in said.out) == (0, True)
    new = file(tmp_path / "new", NEXT)
    said = await run("passphrase", "--recovery", "--recovery-file", old, "--new-passphrase-file", new)
    assert (said.code, "does not open" in said.err) == (1, True)
    fresh = file(tmp_path / "fresh", (await run("recovery-code")).out.rsplit(": ", 1)[1].strip())
    said = await run("passphrase", "--recovery", "--recovery-file", fresh, "--new-passphrase-file", new)
    assert said.code == 0


async def test_a_wallet_moves_to_another_machine_with_its_subscriptions(
    run: Run, tmp_path: Path, requirement: str, world: World
) -> None:
    """Subscribe, back up, delete, restore elsewhere, and take part there under the same pseudonym."""
    await recovery_of(run, tmp_path)
    await run("import", csv(tmp_path, GOOD), "--requirement", requirement)
    await run("subscribe", world.collective.id, "--server", world.url, "--yes")
    (pseudonym,) = world.subscribers
    assert await last_backup(tmp_path / "w") == backup.Last(at=0, newer_permits=1)
    kept = str(tmp_path / "kept.cssi-backup")
    said = await run("backup", kept)
    assert (said.code, "Keep it on another machine" in said.out) == (0, True)
    assert (await run("backup", kept)).code == 2  # never over another file
    body = Path(kept).read_bytes()
    for word in (pseudonym.hex().encode(), b"height", b"permit", b"correct horse"):
        assert word not in body
    made = await last_backup(tmp_path / "w")
    assert (made.at > 0, made.newer_permits) == (True, 0)
    said = await run("delete-wallet", "--confirm", "w")
    assert (said.code, (tmp_path / "w").exists()) == (0, False)
    elsewhere = str(tmp_path / "elsewhere")
    said = await run("--wallet", elsewhere, "restore", kept)
    assert (said.code, "1 subscriptions" in said.out) == (0, True)
    process = await start(elsewhere)
    try:
        assert json.loads(await line_of(process))["event"] == "connected"
        job = world.collective.job(documents.now(), distributor_key="aa" * 32, aggregator_key="bb" * 32)
        (enrolment,) = await world.enrol_all(job)
        assert enrolment.subscription_key == pseudonym
        said = await run("--wallet", elsewhere, "lock")
        assert (said.code, "Locked" in said.out) == (0, True)
        assert b"Locked (asked)." in await asyncio.wait_for(process.stdout.read(), 20)  # type: ignore[union-attr]
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_wallet_locks_itself_when_its_holder_is_away(
    run: Run, tmp_path: Path, requirement: str, world: World
) -> None:
    await recovery_of(run, tmp_path)
    await run("import", csv(tmp_path, GOOD), "--requirement", requirement)
    await run("subscribe", world.collective.id, "--server", world.url, "--yes")
    assert "after 5 minutes" in (await run("settings", "--lock-after", "5")).out
    process = await start(str(tmp_path / "w"))
    try:
        assert json.loads(await line_of(process))["event"] == "connected"
        long_ago = time.time() - 301
        os.utime(tmp_path / "w" / locking.LOCK, (long_ago, long_ago))
        assert b"Locked (idle)." in await asyncio.wait_for(process.stdout.read(), 20)  # type: ignore[union-attr]
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_a_word_on_the_command_line_beats_the_setting_also_when_it_is_never() -> None:
    assert [cli._parser().parse_args(["run", *more]).lock_after for more in ((), ("--lock-after", "0"))] == [
        None,
        0,
    ]


async def test_several_wallets_are_listed(run: Run, tmp_path: Path) -> None:
    assert "no wallet here" in (await run("wallets", "--home", str(tmp_path))).out
    for name in ("home", "work"):
        assert (await run("--wallet", str(tmp_path / name), "init")).code == 0
    said = await run("wallets", "--home", str(tmp_path))
    assert [line.split()[0] for line in said.out.splitlines()] == ["wallet", "home", "work"]


async def test_deleting_asks_for_the_name(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await run("init")
    monkeypatch.setattr("builtins.input", lambda prompt: "something")
    said = await run("delete-wallet")
    assert (said.code, "Nothing was deleted" in said.err) == (2, True)
    assert (tmp_path / "w" / "keys.json").exists()
    monkeypatch.setattr("builtins.input", lambda prompt: "w")
    assert (await run("delete-wallet")).code == 0
    assert (await run("delete-wallet", "--confirm", "w")).code == 1


async def start(folder: str, *more: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "wallets.agent", "--wallet", folder, "run", *more),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def line_of(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    return await asyncio.wait_for(process.stdout.readline(), 40)
