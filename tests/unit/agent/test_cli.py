"""The command line: what it prints, what it exits with, and that nothing a person does shows a traceback."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.agent import documents
from tests.unit.agent.conftest import Run
from tests.unit.agent.world import World
from wallets.agent import linking, server, terminal

ROOT = Path(__file__).resolve().parents[3]


def csv(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "me.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


GOOD = "height,weight,ill\n4.5,2.5,true\n"


async def test_init_shows_the_recovery_code_once_and_never_overwrites(run: Run, tmp_path: Path) -> None:
    said = await run("init")
    assert said.code == 0
    assert "Recovery code" in said.out
    again = await run("init")
    assert again.code == 1
    assert "already a wallet" in again.err
    assert (tmp_path / "w" / "keys.json").stat().st_mode & 0o777 == 0o600


async def test_a_wrong_or_short_or_absent_passphrase_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "short"
    short.write_text("short")
    said = await run("--passphrase-file", str(short), "init")
    assert (said.code, "at least 10" in said.err) == (2, True)
    assert (await run("init")).code == 0
    wrong = tmp_path / "wrong"
    wrong.write_text("not the passphrase")
    said = await run("--passphrase-file", str(wrong), "permits")
    assert (said.code, "does not open" in said.err) == (1, True)
    said = await run("--passphrase-file", str(tmp_path / "nothing"), "permits")
    assert (said.code, "cannot be read" in said.err) == (2, True)
    monkeypatch.delenv("WALLET_PASSPHRASE_FILE")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    said = await run("permits")
    assert (said.code, "No passphrase" in said.err) == (2, True)


async def test_a_missing_wallet_is_named(run: Run) -> None:
    said = await run("permits")
    assert (said.code, "Create one with `init`" in said.err) == (1, True)


@pytest.mark.parametrize(
    "content, says",
    [
        ("", "empty"),
        (b"height,weight,ill\n4.5,\xff,true\n", "not UTF-8"),
        ("height,ill\n4.5,true\n", "columns missing: weight"),
        ("height,weight,ill,shoe\n4.5,2.5,true,44\n", "nobody asked for: shoe"),
        ("height,weight,ill\n4.5,2.5,perhaps\n", "neither true nor false"),
        ("height,weight,ill\n4.5,many,true\n", "not a number"),
        ("height,weight,ill\n4.5,,true\n", "weight is missing"),
        ("height,weight,ill\n4.5,99,true\n", "weight"),
    ],
)
async def test_a_bad_file_exits_2_says_why_and_changes_nothing(
    run: Run, tmp_path: Path, requirement: str, content: str | bytes, says: str
) -> None:
    await run("init")
    said = await run("import", csv(tmp_path, content), "--requirement", requirement)
    assert said.code == 2
    assert says in said.err
    journal = json.loads((await run("visits", "--format", "json")).out)
    assert [entry["kind"] for entry in journal] == ["created"]


async def test_import_shows_what_changes_and_asks_before_replacing(
    run: Run, tmp_path: Path, requirement: str
) -> None:
    await run("init")
    said = await run("import", csv(tmp_path, GOOD), "--requirement", requirement)
    assert (said.code, "3 fields added, 0 replaced" in said.out) == (0, True)
    changed = csv(tmp_path, GOOD.replace("2.5", "3.5"))
    said = await run("import", changed, "--requirement", requirement)
    assert (said.code, "replace values already in the wallet: weight" in said.err) == (2, True)
    said = await run("import", changed, "--requirement", requirement, "--yes")
    assert (said.code, "1 replaced" in said.out) == (0, True)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"type": "object"}', b"\xff"])
async def test_a_bad_requirement_is_named(run: Run, tmp_path: Path, content: str | bytes) -> None:
    await run("init")
    path = tmp_path / "r.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    said = await run("import", csv(tmp_path, GOOD), "--requirement", str(path))
    assert said.code == 2
    assert said.err


async def test_the_whole_way_on_the_command_line(
    run: Run, tmp_path: Path, requirement: str, world: World
) -> None:
    await run("init")
    await run("import", csv(tmp_path, GOOD), "--requirement", requirement)
    link = f"cssi://pair?url={world.url}&code=1234&pin={server.pin_of(world.description())}"
    said = await run("pair", link)
    assert (said.code, "Paired with Ivo" in said.out) == (0, True), said.err
    said = await run("subscribe", world.collective.id, "--yes")
    assert said.code == 0, said.err
    assert "The aggregator reads sums of at least 20 wallets" in said.out
    assert len(world.openings) == 1
    listed = await run("permits")
    assert "Heights" in listed.out
    assert "0.005" in listed.out
    said = await run("subscribe", world.collective.id, "--yes")
    assert (said.code, "already have a permit" in said.err) == (1, True)
    earned = await run("earnings")
    assert "0 visits" in earned.out
    said = await run("revoke", "heights")
    assert said.code == 0, said.err
    assert "was deleted in" in said.out
    assert "The servers were told" in said.out
    assert "nobody may learn" in (await run("permits")).out
    said = await run("revoke", world.collective.id)
    assert (said.code, "no single permit" in said.err) == (1, True)
    kinds = [entry["kind"] for entry in json.loads((await run("visits", "--format", "json")).out)]
    assert kinds == ["created", "data", "paired", "subscribed", "refused", "payout", "revoked"]
    assert "time (UTC)" in (await run("visits")).out
    assert (await run("visits", "--format", "csv")).out.count("\n") == 8


async def test_revoke_with_every_server_down_says_exactly_what_happened(
    run: Run, tmp_path: Path, requirement: str
) -> None:
    await run("init")
    await run("import", csv(tmp_path, GOOD), "--requirement", requirement)
    async with World() as world:
        assert (await run("subscribe", world.collective.id, "--server", world.url, "--yes")).code == 0
    said = await run("revoke", world.collective.id)
    assert said.code == 0
    assert "It gets nothing from now on" in said.out
    assert "could not be reached" in said.out
    assert "nobody may learn" in (await run("permits")).out


async def test_a_collective_is_asked_for_only_where_a_server_is_known(
    run: Run, tmp_path: Path, world: World
) -> None:
    """By its id after pairing, or by its whole link; and what comes must be signed by the collective it names."""
    await run("init")
    file, collective = csv(tmp_path, GOOD), world.collective.id
    said = await run("import", file, "--collective", collective)
    assert said.code == 1
    assert "Pair it first (`pair`)" in said.err
    assert "with --requirement" in said.err
    said = await run("import", file, "--collective", "../server")
    assert (said.code, "id looks like" in said.err) == (2, True)
    assert "Nothing was changed." in said.err
    link = linking.SubscriptionLink(
        collective=collective, url=world.url, pin=server.pin_of(world.description())
    )
    said = await run("missing", "--collective", str(link))
    assert (said.code, "height is missing" in said.out) == (0, True), said.err
    honest = world.collective.terms_envelope
    world.collective.terms_envelope = {**honest, "document": {**honest["document"], "name": "x"}}
    said = await run("import", file, "--collective", collective)
    assert (said.code, "not valid" in said.err) == (1, True)
    world.collective.terms_envelope = honest
    assert (await run("import", file, "--collective", collective)).code == 0


SOME_ID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"


async def test_a_plain_address_beyond_this_machine_is_refused(run: Run) -> None:
    await run("init")
    for words in (
        ("pair", "--url", "http://example.org", "--code", "1"),
        ("subscribe", SOME_ID, "--server", "http://example.org"),
        ("pair", "cssi://pair?url=http://example.org&code=1&pin=2"),
    ):
        said = await run(*words)
        assert said.code == 1
        assert "not encrypted" in said.err


async def test_what_is_missing_on_the_command_line_is_said(run: Run) -> None:
    await run("init")
    assert "Give the cssi://pair link" in (await run("pair")).err
    assert "neither paired nor subscribed" in (await run("run")).err
    assert "knows no server" in (await run("subscribe", SOME_ID)).err
    assert "id looks like" in (await run("subscribe", "x")).err


def test_a_servers_text_cannot_repaint_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show([["\x1b[2J\x1b[HYour permit is deleted.", "b\nc"]], ["name", "x"])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count("\n") == 2
    assert terminal.when(2**60) == "no end"


async def test_a_down_server_is_said(run: Run) -> None:
    await run("init")
    said = await run("pair", "--url", "http://127.0.0.1:9", "--code", "1")
    assert (said.code, "No answer from 127.0.0.1:9." in said.err) == (1, True)
    assert "Nothing was lost. Run `pair` again when it answers." in said.err
    assert "tried again" not in said.err  # the command ends here: nobody tries


def test_it_starts_without_django_or_torch() -> None:
    """`python -m wallets.agent` is for a person's own machine: the heavy parts load in the sandbox or not at all."""
    code = "import sys, wallets.agent.cli; print([m for m in ('django','torch','web3','pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    helped = subprocess.run(
        [sys.executable, "-m", "wallets.agent", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for word in ("init", "import", "pair", "subscribe", "run", "permits", "revoke", "visits", "earnings"):
        assert word in helped.stdout


async def test_run_connects_answers_and_stops_on_a_signal(
    run: Run, tmp_path: Path, requirement: str, world: World
) -> None:
    """The real process, with its sandbox self-test; `revoke` in a second process is noticed by the first."""
    await run("init")
    await run("import", csv(tmp_path, GOOD), "--requirement", requirement)
    await run("subscribe", world.collective.id, "--server", world.url, "--yes")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "wallets.agent",
        "--wallet",
        str(tmp_path / "w"),
        "run",
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 40)
        assert json.loads(line)["event"] == "connected"
        (enrolment,) = await world.enrol_all(
            world.collective.job(documents.now(), distributor_key="aa" * 32, aggregator_key="bb" * 32)
        )
        assert enrolment.subscription_key in world.subscribers
        await run("revoke", world.collective.id)
        world.subscribers[enrolment.subscription_key] = {}
        assert await world.enrol_all(world.collective.job(documents.now())) == [enrolment]
        assert world.frames[-1]["t"] == "decline"
    finally:
        process.send_signal(2)
        _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert b"Traceback" not in err
