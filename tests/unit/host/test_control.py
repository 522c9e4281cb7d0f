"""A host as a separate process, driven by JSON lines, as the demonstration drives it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.agent import documents
from tests.unit.agent.world import World
from wallets.agent import server

ROOT = Path(__file__).resolve().parents[3]


class Driven:
    """A running host process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self._next = 0

    async def event(self, name: str) -> dict[str, Any]:
        """The next event of a kind (or one already seen and not yet taken)."""
        for event in self.events:
            if event["event"] == name:
                self.events.remove(event)
                return event
        assert self.process.stdout is not None
        async with asyncio.timeout(40):
            while True:
                line = await self.process.stdout.readline()
                assert line, "the host ended"
                event = json.loads(line)
                if event["event"] == name:
                    return dict(event)
                self.events.append(event)

    async def do(self, cmd: str, **fields: Any) -> dict[str, Any]:
        """Send a command and return its reply."""
        self._next += 1
        self.line({"cmd": cmd, "id": self._next, **fields})
        reply = await self.event("reply")
        assert reply["id"] == self._next
        return reply

    def line(self, what: Any) -> None:
        """Write one line."""
        assert self.process.stdin is not None
        self.process.stdin.write((what if isinstance(what, str) else json.dumps(what)).encode() + b"\n")


async def started(directory: Path, *words: str) -> Driven:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wallets.host", "--directory", str(directory), *words),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 22,
    )
    driven = Driven(process)
    await driven.event("ready")
    return driven


async def ended(driven: Driven) -> None:
    driven.line({"cmd": "stop"})
    assert driven.process.stderr is not None
    err = await asyncio.wait_for(driven.process.stderr.read(), 20)
    assert await asyncio.wait_for(driven.process.wait(), 20) == 0
    assert b"Traceback" not in err


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World(development=True, bucket_min=3, release_min=3) as made:
        yield made


async def test_a_host_lives_through_its_commands(tmp_path: Path, world: World) -> None:
    records = tmp_path / "people.jsonl"
    records.write_text("\n".join(json.dumps({**documents.RECORD, "height": i + 0.5}) for i in range(4)))
    pin = server.pin_of(world.description())
    host = await started(
        tmp_path / "host", "--server", world.url, "--pin", pin, "--allow-development", "--spy"
    )
    made = await host.do("create", records=str(records))
    assert made["wallets"] == [f"w{i:05d}" for i in range(4)]
    assert all((tmp_path / "host" / "wallets" / name / "wallet.db").exists() for name in made["wallets"])

    link = f"cssi://pair?url={world.url}&code=1&pin={pin}"
    assert (await host.do("pair", wallet="w00000", link=link))["label"] == "Ivo"
    mailbox = bytes.fromhex(world.posted["wallets/pair"][0]["mailbox_key"])
    await world.until(lambda: any(mailbox in line.keys for line in world.lines))
    offer = {
        "version": 1,
        "collective_id": world.collective.id,
        "terms": world.collective.terms_envelope,
        "offer_ref": "r1",
        "reply_url": world.url,
    }
    mail = await world.mail(mailbox, "offer", offer)
    assert (await world.answer_to(mail))["outcome"] == "done"
    assert (await host.event("subscribed"))["wallet"] == "w00000"

    done = await host.do("subscribe", wallets=["w00000", "w00001", "w00002"], collective=world.collective.id)
    assert (done["subscribed"], done["refused"]) == (2, {"already_subscribed": 1})
    await world.until(lambda: sum(key in line.keys for line in world.lines for key in world.subscribers) == 3)
    assert (await host.do("status"))["connected"] == 3

    revoked = await host.do("revoke", wallet="w00001", collective=world.collective.id)
    assert (revoked["ok"], revoked["erased"], revoked["servers_told"]) == (True, True, True)
    assert (await host.do("permits", wallet="w00001"))["permits"] == []
    kinds = [e["kind"] for e in (await host.do("visits", wallet="w00001"))["entries"]]
    assert kinds == ["created", "subscribed", "revoked"]

    await host.do("disconnect", wallet="w00002")
    assert (await host.do("status"))["running"] == 2
    await host.do("fault", round=3, kind="die", after="advertise", count=2)
    assert (await host.do("faults"))["faults"][0]["suffered"] == []
    await host.do("faults", forget=True)
    assert (await host.do("faults"))["faults"] == []
    assert (await host.do("spy", path=str(tmp_path / "spy.json")))["ok"]
    assert json.loads((tmp_path / "spy.json").read_text()) == []
    await ended(host)

    again = await started(tmp_path / "host", "--allow-development")
    assert (await again.do("permits", wallet="w00000"))["permits"] == [world.collective.id]
    assert (await again.do("spy", path="x"))["code"] == "no_spy"
    await ended(again)


async def test_bad_lines_get_a_reply_and_change_nothing(tmp_path: Path) -> None:
    host = await started(tmp_path / "host")
    for line, code in (
        ("not json", "bad_command"),
        ("[]", "bad_command"),
        ('{"cmd": "dance"}', "bad_data"),
        ('{"cmd": "create"}', "bad_command"),
        ('{"cmd": "create", "records": "/nothing"}', "bad_command"),
        ('{"cmd": "revoke", "wallet": "w9", "collective": "x"}', "not_found"),
        ('{"cmd": "fault", "round": 1, "kind": "x"}', "bad_command"),
        ('{"cmd": "pair", "wallet": "w9", "link": "x"}', "not_found"),
        ('{"cmd": "server", "url": "http://example.org"}', "insecure_transport"),
    ):
        host.line(line)
        reply = await host.event("reply")
        assert (reply["ok"], reply["code"]) == (False, code), line
    assert (await host.do("status"))["wallets"] == 0
    await ended(host)


async def test_no_event_names_a_pseudonym_or_an_account(tmp_path: Path, world: World) -> None:
    host = await started(tmp_path / "host", "--server", world.url, "--allow-development")
    await host.do("create", inline=[documents.RECORD] * 2)
    await host.do("subscribe", collective=world.collective.id)
    await world.until(lambda: sum(key in line.keys for line in world.lines for key in world.subscribers) == 2)
    await world.enrol_all(world.collective.job(documents.now()))
    reply = await host.do("visits", wallet="w00000")
    printed = json.dumps([*host.events, reply])
    for key in world.subscribers:
        assert key.hex() not in printed
    await ended(host)
