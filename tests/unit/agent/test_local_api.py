"""The API behind the holder's own pages: who may speak to it, what every answer forbids, and a life of a wallet through it."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aggregation.wire import signing
from aggregation.wire.secret import Secret
from attestation.formats.did_key import did_of
from tests.unit.agent import documents
from tests.unit.agent.conftest import Run
from tests.unit.agent.test_inbox import NoSandbox
from tests.unit.agent.world import World
from wallets.agent import keeping, locking, server, vault
from wallets.agent.holder import Holder
from wallets.agent.keyfile import Argon2Cost
from wallets.agent.local_api import WEB, LocalPages
from wallets.agent.sandbox.launcher import ProbeResult
from wallets.agent.sandbox.policy import REQUIRED

PASSPHRASE = "correct horse battery"


class Claimed(NoSandbox):
    """Every probe is blocked; the real sandbox has its own tests."""

    async def self_test(self, names: tuple[str, ...] = ()) -> list[ProbeResult]:
        self.layers = REQUIRED
        return [ProbeResult(name=name, blocked=True, how="blocked") for name in names]


class Client:
    """One person's browser, reduced to what it sends."""

    def __init__(self, pages: LocalPages) -> None:
        self.port = pages.port
        self.token = pages.link.rsplit("#", 1)[1]

    async def send(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        def work() -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
            connection.request(method, path, raw or None, headers)
            answer = connection.getresponse()
            found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            connection.close()
            return found

        return await asyncio.to_thread(work)

    async def read(self, name: str) -> Any:
        status, _, body = await self.send("GET", f"/api/{name}", authorization=f"Bearer {self.token}")
        assert status == 200, body
        return json.loads(body)

    async def act(self, verb: str, expect: int = 200, **body: Any) -> Any:
        status, _, raw = await self.send("POST", f"/api/{verb}", body, authorization=f"Bearer {self.token}")
        assert status == expect, raw
        return json.loads(raw)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (vault, keeping):
        monkeypatch.setattr(module, "Argon2Cost", lambda: Argon2Cost(memory_kib=64, passes=1))


@pytest.fixture
async def pages(tmp_path: Path, cheap: None) -> AsyncIterator[LocalPages]:
    holder = Holder(tmp_path / "home", launcher=Claimed, now=documents.now)
    made = LocalPages(holder)
    task = asyncio.create_task(made.serve())
    while made._server is None or not made._server.started:
        await asyncio.sleep(0.01)
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert holder.state != "open"


async def test_only_the_link_of_this_machine_opens_it(pages: LocalPages) -> None:
    client = Client(pages)
    good = {"authorization": f"Bearer {client.token}"}
    assert pages._listener.getsockname()[0] == "127.0.0.1"
    assert (await client.send("GET", "/api/state"))[0] == 401
    assert (await client.send("GET", "/api/state", authorization="Bearer x"))[0] == 401
    assert (await client.send("GET", "/api/state", **good, Host="evil.example"))[0] == 421
    assert (await client.send("GET", "/", Host=f"localhost:{client.port}"))[0] == 421
    assert (await client.send("POST", "/api/lock", {}, **good, Origin="https://evil.example"))[0] == 403
    assert (await client.send("POST", "/api/state", {}, **good))[0] == 404
    assert (await client.send("GET", "/api/lock", **good))[0] == 404
    assert (await client.send("PUT", "/", **good))[0] == 405
    assert (await client.send("POST", "/api/lock", b"[1]", **good))[0] == 400
    assert (await client.send("POST", "/api/lock", b"\xff", **good))[0] == 400
    assert (await client.send("GET", "/api/state", **good))[0] == 200
    for path in ("/../local_api.py", "/%2e%2e/local_api.py", "/wallet.py", "/web/app.js", "//etc/passwd"):
        assert (await client.send("GET", path))[0] == 404, path


async def test_every_answer_forbids_what_is_not_its_own(pages: LocalPages) -> None:
    client = Client(pages)
    for path in ["/", *(f"/{file.name}" for file in WEB.iterdir()), "/api/state", "/nothing"]:
        status, headers, body = await client.send("GET", path)
        assert status in {200, 401, 404}
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
        if status == 200:
            assert b"http://" not in body
            assert b"https://" not in body  # nothing is loaded from anywhere else
            assert b"innerHTML" not in body


async def test_a_locked_wallet_shows_nothing_and_wrong_attempts_lock_out(pages: LocalPages) -> None:
    client = Client(pages)
    assert (await client.read("state"))["state"] == "none"
    assert "at least 10" in (await client.act("create", 400, passphrase="short"))["sentence"]
    made = await client.act("create", passphrase=PASSPHRASE)
    assert (await client.read("state"))["state"] == "open"
    await client.act("lock")
    for name in ("overview", "data", "permits", "journal", "health", "receipts"):
        status, _, body = await client.send("GET", f"/api/{name}", authorization=f"Bearer {client.token}")
        assert (status, json.loads(body)["code"]) == (423, "locked")
    for _ in range(6):
        assert (await client.act("unlock", 409, passphrase="not the right one"))["code"] == "wrong_passphrase"
    locked = await client.act("unlock", 429, passphrase=PASSPHRASE)
    assert locked["retry_after"] >= 1
    await asyncio.sleep(2.2)
    assert (await client.act("unlock", recovery_code=made["recovery_code"]))["state"] == "open"


async def test_a_life_of_a_wallet_through_its_pages(pages: LocalPages, tmp_path: Path) -> None:
    """Create, pair, see what is missing, enter data, review, answer from the signed document, limit, pause, notice, leave."""
    client = Client(pages)
    async with World() as world:
        collective = world.collective
        await client.act("create", passphrase=PASSPHRASE)
        link = f"cssi://pair?url={world.url}&code=1&pin={server.pin_of(world.description())}"
        assert (await client.act("pair", link=link, trust_web=False))["label"] == "Ivo"
        reviewed = await client.act("review", collective=collective.id)
        assert any("masked number list" in sentence for sentence in reviewed["sentences"])
        assert len(reviewed["missing"]) == 3
        _, _, raw = await client.send(
            "GET", f"/api/data?collective={collective.id}", authorization=f"Bearer {client.token}"
        )
        (asked,) = json.loads(raw)["collectives"]
        assert asked["missing"] == reviewed["missing"]
        await enter(pages, client, collective)
        await client.act("subscribe", collective=collective.id)
        question = await a_question(client)
        assert question["title"] == "Subscribe to Heights?"
        assert question["answers"] == ["not now", "subscribe"]
        await client.act("answer", 400, id=question["id"], answer="certainly")
        await client.act("answer", id=question["id"], answer="subscribe")
        await world.until(lambda: bool(world.subscribers))
        permit = await a_permit(client)
        assert (permit["name"], permit["paused"], permit["last_use"]) == ("Heights", False, 0)
        limits = await client.act("limit", collective=collective.id, visits_total=3)
        assert limits["visits_total"] == 3
        await client.act("limit", 400, collective=collective.id, visits_total="3")
        await client.act("pause", collective=collective.id, paused=True)
        assert (await a_permit(client))["paused"]
        assert (await client.read("privacy"))[0]["limit_rho"] == 0
        (line,) = (await client.read("earnings"))["addresses"]
        assert (line["pending"], line["asked"]) == ("", 0)
        told = await client.act("ask-earnings", address=line["address"])
        assert told["addresses"][0]["pending"] == "0.000000000000000005"
        assert (told["next_epoch"], told["note"]) == (3, "Paid every day.")
        assert (await client.read("earnings")) == told
        (receipt,) = (await client.read("receipts"))["receipts"]
        assert receipt["genuine"]
        done = await client.act("delete-permit", collective=collective.id)
        assert (done["name"], done["erased"]) == ("Heights", True)
        assert await client.read("permits") == []
        book = await client.read("journal")
        assert book["broken_at"] is None
        kinds = {entry["kind"] for entry in book["entries"]}
        assert kinds >= {"created", "paired", "data", "subscribed", "revoked"}
        assert "4.5" not in json.dumps(book)
        await the_book_is_taken_along_and_an_entry_deleted(client)


async def test_a_credential_that_is_missing_is_missing_on_the_pages_and_on_the_command_line(
    pages: LocalPages, run: Run, tmp_path: Path
) -> None:
    """One function says what is lacking, for subscribing and for every place that shows it."""
    issuer = did_of(signing.public_key(Secret(b"i" * 32)))
    attested = {
        **documents.REQUIREMENT["properties"]["weight"],
        "x-assurance": "attested",
        "x-issuers": [issuer],
    }
    properties = {**documents.REQUIREMENT["properties"], "weight": attested}
    requirement = {**documents.REQUIREMENT, "properties": properties}
    client = Client(pages)
    async with World(requirement=requirement, assurance="attested") as world:
        await client.act("create", passphrase=PASSPHRASE)
        link = f"cssi://pair?url={world.url}&code=1&pin={server.pin_of(world.description())}"
        await client.act("pair", link=link, trust_web=False)
        wanted = [f"weight: needs a credential from {issuer}"]
        saved = await client.act(
            "save-data",
            collective=world.collective.id,
            words={"height": "4.5", "weight": "2.5", "ill": "true"},
            confirm=True,
        )
        assert saved["missing"] == wanted
        assert (await client.act("review", collective=world.collective.id))["missing"] == wanted
        path = f"/api/data?collective={world.collective.id}"
        _, _, raw = await client.send("GET", path, authorization=f"Bearer {client.token}")
        assert json.loads(raw)["collectives"][0]["missing"] == wanted
    await run("init")
    for name, content in (("r.json", requirement), ("me.json", documents.RECORD)):
        (tmp_path / name).write_text(json.dumps(content))
    await run("import", str(tmp_path / "me.json"), "--requirement", str(tmp_path / "r.json"))
    said = await run("missing", "--requirement", str(tmp_path / "r.json"))
    assert wanted[0] in said.out


async def test_a_typed_code_pairs_and_names_what_to_compare(pages: LocalPages) -> None:
    client = Client(pages)
    async with World() as world:
        await client.act("create", passphrase=PASSPHRASE)
        plain = await client.act("pair", 400, url="http://example.org", code="1")
        assert "not encrypted" in plain["sentence"]
        assert "url" in (await client.act("pair", 400, code="1"))["sentence"]
        made = await client.act("pair", url=world.url, code=" 123456 ", trust_web=False)
        assert made["compare"] == server.pin_of(world.description())[:16]
        assert world.posted["wallets/pair"][0]["code"] == "123456"
        link = f"cssi://pair?url={world.url}&code=1&pin={server.pin_of(world.description())}"
        assert (await client.act("pair", link=link, trust_web=False))["compare"] == ""


async def enter(pages: LocalPages, client: Client, collective: documents.Collective) -> None:
    """Values go in by hand and are replaced only when asked to."""
    agent = pages._holder.agent
    words = {"height": "4.5", "weight": "2.5", "ill": "true"}

    async def save(**more: Any) -> Any:
        return await client.act("save-data", collective=collective.id, words=words, **more)

    assert (await save())["added"] == ["height", "ill", "weight"]
    assert await agent.store.get("record", "main") is None
    assert (await save(confirm=True))["missing"] == []
    words["weight"] = "3.5"
    assert (await save())["replaced"] == ["weight"]
    file = json.dumps({"height": 4.5, "weight": 2.5, "ill": True})
    imported = await client.act(
        "save-data", collective=collective.id, name="me.json", file=file, confirm=True
    )
    assert imported["saved"]
    for field, value, says in (
        ("shoe", 44, "fields nobody asked for: shoe"),
        ("height", 2**60, "height: holds a number that is infinite or too large"),
    ):
        text = json.dumps({"weight": 2.5, "ill": True, field: value})
        refused = await client.act(
            "save-data", 400, collective=collective.id, name="x.json", file=text, confirm=True
        )
        assert says in refused["sentence"]
    assert (await client.read("data"))["record"] == {"height": 4.5, "weight": 2.5, "ill": True}
    words["weight"] = "many"
    assert (
        "not a number"
        in (await client.act("save-data", 400, collective=collective.id, words=words))["sentence"]
    )


async def the_book_is_taken_along_and_an_entry_deleted(client: Client) -> None:
    """A deleted entry keeps its place, so the chain holds; another place than a real one is refused."""
    for form, first in (("json", "["), ("csv", '"seq","at","kind"')):
        exported = await client.act("export-journal", format=form)
        assert exported["name"] == f"journal.{form}"
        assert exported["text"].startswith(first)
        assert "subscribed" in exported["text"]
    kept = json.loads((await client.act("export-journal", format="json"))["text"])
    await client.act("delete-entry", seq=kept[-1]["seq"])
    await client.act("delete-entry", 404, seq=10**6)
    book = await client.read("journal")
    assert book["broken_at"] is None
    deleted = [entry["seq"] for entry in book["entries"] if entry["deleted"]]
    assert deleted == [kept[-1]["seq"]]
    assert all(not entry["sentence"] for entry in book["entries"] if entry["deleted"])


async def a_question(client: Client) -> Any:
    async with asyncio.timeout(10):
        while not (found := (await client.read("overview"))["questions"]):
            await asyncio.sleep(0.05)
    return found[0]


async def a_permit(client: Client) -> Any:
    async with asyncio.timeout(10):
        while not (found := await client.read("permits")):
            await asyncio.sleep(0.05)
    return found[0]


async def test_a_backup_needs_the_passphrase_again_and_restores(pages: LocalPages, tmp_path: Path) -> None:
    client = Client(pages)
    await client.act("create", passphrase=PASSPHRASE)
    assert (await client.read("health"))["backup"] == {"at": 0, "newer_permits": 0}
    assert (await client.act("backup", 409, passphrase="something else"))["code"] == "wrong_passphrase"
    made = await client.act("backup", passphrase=PASSPHRASE)
    assert base64.b64decode(made["file"]).startswith(b"CSSI-WALLET-BACKUP")
    assert (await client.read("journal"))["entries"][0]["sentence"] == "A backup was made."
    await client.act("restore", 400, file=made["file"], passphrase=PASSPHRASE)  # never over a wallet
    await client.act("lock")
    keeping.destroy(tmp_path / "home")
    assert (await client.read("state"))["state"] == "none"
    assert (await client.act("restore", file=made["file"], passphrase=PASSPHRASE))["state"] == "open"
    assert {entry["kind"] for entry in (await client.read("journal"))["entries"]} == {"created", "restored"}


async def test_secrets_are_changed_with_the_wallet_open(pages: LocalPages) -> None:
    client = Client(pages)
    old = (await client.act("create", passphrase=PASSPHRASE))["recovery_code"]
    assert (await client.act("passphrase", 409, passphrase="wrong one", new_passphrase="x" * 12))[
        "code"
    ] == "wrong_passphrase"
    assert (
        "at least 10"
        in (await client.act("passphrase", 400, passphrase=PASSPHRASE, new_passphrase="x"))["sentence"]
    )
    await client.act("passphrase", passphrase=PASSPHRASE, new_passphrase="another passphrase")
    code = (await client.act("recovery-code", passphrase="another passphrase"))["recovery_code"]
    await client.act("lock")
    await client.act("unlock", 409, passphrase=PASSPHRASE)
    await client.act("unlock", 409, recovery_code=old)
    await client.act("unlock", recovery_code=code)
    await client.act("lock")
    await client.act("unlock", passphrase="another passphrase")
    kinds = [entry["kind"] for entry in (await client.read("journal"))["entries"]]
    assert kinds == ["security", "security", "created"]


async def test_lock_from_another_process_closes_it(pages: LocalPages, tmp_path: Path) -> None:
    client = Client(pages)
    await client.act("create", passphrase=PASSPHRASE)
    assert await asyncio.to_thread(locking.request, tmp_path / "home")
    assert (await client.read("state"))["state"] == "locked"
    await client.act("unlock", passphrase=PASSPHRASE)
    assert (await client.read("state"))["state"] == "open"


async def test_an_idle_wallet_locks_itself_and_a_page_that_refreshes_does_not_keep_it_open(
    pages: LocalPages, tmp_path: Path
) -> None:
    client = Client(pages)
    await client.act("create", passphrase=PASSPHRASE)
    await client.act("settings", lock_after_minutes=1)
    long_ago = time.time() - 61
    os.utime(tmp_path / "home" / locking.LOCK, (long_ago, long_ago))
    for _ in range(30):
        status, _, _ = await client.send("GET", "/api/overview", authorization=f"Bearer {client.token}")
        if status == 423:
            break
        await asyncio.sleep(0.1)
    assert pages._holder.state == "locked"


async def test_it_listens_on_no_other_address(pages: LocalPages) -> None:
    own = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {
        "127.0.0.1"
    }
    for address in own:
        with socket.socket() as outside:
            outside.settimeout(1)
            assert outside.connect_ex((address, pages.port)) != 0
