"""Turns of uploads: how many are read at once, who loses a turn, and what half-sent bodies cost."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aggregation.server import config, slots
from aggregation.server.raw_http import Answer
from aggregation.server.services import spool
from aggregation.server.uploads import Turns, body


def drip(pieces: list[bytes], *, pause: float = 0.0, more: bool = True) -> Callable[[], Any]:
    """An ASGI `receive` that gives these pieces, then nothing any more."""
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        if pause:
            await asyncio.sleep(pause)
        if not left:
            await asyncio.Event().wait()
        piece = left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(left) or more}

    return receive


async def upload(turns: Turns, wallet: int, receive: Callable[[], Any], length: int) -> bytes:
    async with turns.turn(wallet) as mine:
        return b"".join([piece async for piece in body(receive, length, mine)])


async def test_a_whole_body_comes_through() -> None:
    turns = Turns(1)
    assert await upload(turns, 1, drip([b"ab", b"c"], more=False), 3) == b"abc"
    assert turns.running == turns.waiting == 0


@pytest.mark.parametrize(
    ("pieces", "length", "status"), [([b"abcd"], 3, 400), ([b"ab"], 3, 400)], ids=["too long", "cut"]
)
async def test_another_length_than_announced_is_refused(
    pieces: list[bytes], length: int, status: int
) -> None:
    turns = Turns(1)
    with pytest.raises(Answer) as caught:
        await upload(turns, 1, drip(pieces, more=False), length)
    assert caught.value.status == status
    assert turns.running == 0


async def test_half_a_body_times_out_and_frees_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "UPLOAD_IDLE_SECONDS", 0.05)
    turns = Turns(1)
    with pytest.raises(Answer) as caught:
        await upload(turns, 1, drip([b"half"]), 8)
    assert (caught.value.status, caught.value.code) == (408, "too_slow")
    assert turns.running == 0


async def test_a_wallet_has_one_upload_at_a_time() -> None:
    turns = Turns(2)
    first = asyncio.create_task(upload(turns, 1, drip([b"half"]), 8))
    await asyncio.sleep(0.01)
    with pytest.raises(Answer) as caught:
        await upload(turns, 1, drip([b"x"], more=False), 1)
    assert caught.value.status == 429
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await upload(turns, 1, drip([b"x"], more=False), 1) == b"x"


async def test_an_upload_that_waits_is_not_read() -> None:
    turns = Turns(1)
    asked = 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"x", "more_body": False}

    holder = asyncio.create_task(upload(turns, 1, drip([b"half"]), 8))
    await asyncio.sleep(0.01)
    waiter = asyncio.create_task(upload(turns, 2, receive, 1))
    await asyncio.sleep(0.3)
    assert (asked, turns.waiting) == (0, 1)
    holder.cancel()
    assert await waiter == b"x"
    assert asked == 1


async def test_drippers_lose_their_turns_to_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every turn is held by a body that comes byte by byte; the honest upload gets through, one dripper pays for it."""
    monkeypatch.setattr(config, "UPLOAD_PATIENCE_SECONDS", 0.1)
    turns = Turns(4)
    drippers = [
        asyncio.create_task(upload(turns, i, drip([b"x"] * 999, pause=0.02), 10_000)) for i in range(4)
    ]
    await asyncio.sleep(0.15)
    async with asyncio.timeout(2):
        assert await upload(turns, 9, drip([b"y" * 1000], more=False), 1000) == b"y" * 1000
    done = [task for task in drippers if task.done()]
    assert len(done) == 1
    assert isinstance(done[0].exception(), Answer)
    for task in drippers:
        task.cancel()
    await asyncio.gather(*drippers, return_exceptions=True)


async def test_a_slow_upload_alone_may_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "UPLOAD_PATIENCE_SECONDS", 0.0)
    turns = Turns(1)
    assert await upload(turns, 1, drip([b"x"] * 30, pause=0.02, more=False), 30) == b"x" * 30


async def test_an_upload_cannot_go_on_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "UPLOAD_LONGEST_SECONDS", 0.05)
    with pytest.raises(Answer) as caught:
        await upload(Turns(1), 1, drip([b"x"] * 99, pause=0.02), 999)
    assert caught.value.status == 408


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="not possible here: /dev/full is Linux's")
async def test_on_a_full_disk_the_wallet_is_asked_to_send_it_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    part = tmp_path / "part"
    part.symlink_to("/dev/full")
    turns, seat = Turns(1), SimpleNamespace(round=1, participant=7)

    async def slot(*_: Any) -> Any:
        return SimpleNamespace(seat=seat, smallest=1, largest=1 << 20)

    monkeypatch.setattr(slots.hub, "current", lambda: SimpleNamespace(turns=turns))
    monkeypatch.setattr(slots.tokens, "read_slot_token", lambda token: (1, 7))
    monkeypatch.setattr(slots.SlotApp, "_slot", slot)
    monkeypatch.setattr(slots.spool, "slot_file", lambda round_id, name: part)
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"method": "PUT", "path": slots.PREFIX + "x", "headers": [(b"content-length", b"100000")]}
    await slots.SlotApp()(scope, drip([bytes(100_000)], more=False), send)

    assert sent[0]["status"] == 503
    assert json.loads(sent[1]["body"])["code"] == "no_room"
    assert "ENOSPC" in caplog.text
    assert turns.running == 0
    assert not part.is_symlink()


OURS = f"{spool._OURS}-{os.getpid()}"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="not possible here: /dev/full is Linux's")
def test_what_lies_together_finds_a_full_disk_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(spool, "folder", lambda round_id: tmp_path)
    together = spool.Together()
    assert together.name(1, b"x") == f"{OURS}@0+1"
    (tmp_path / OURS).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        together.write()


def test_what_lies_together_is_never_named_where_it_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(spool, "folder", lambda round_id: tmp_path)
    first, second = spool.Together(), spool.Together()
    names = [first.name(1, b"one"), first.name(1, b"three"), second.name(1, b"x")]
    assert [name.partition("@")[2] for name in names] == ["0+3", "3+5", "0+1"]
    first.write()
    assert (tmp_path / OURS).read_bytes() == b"onethree"
    with pytest.raises(OSError, match="another thread"):
        second.write()
    assert spool.Together().name(1, b"x").endswith("@8+1")


def test_processes_with_one_number_keep_files_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first process of every container has the number 1, and all of them share the spool."""
    spec = importlib.util.find_spec(spool.__name__)
    assert spec is not None
    assert spec.loader is not None
    other = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(other)
    batches = [spool.Together(), other.Together()]
    for module in (spool, other):
        monkeypatch.setattr(module, "folder", lambda round_id: tmp_path)
    names = [batch.name(1, body) for batch, body in zip(batches, (b"one", b"other"), strict=True)]
    for batch in batches:
        batch.write()
    files, places = zip(*(name.split("@") for name in names), strict=True)
    assert places == ("0+3", "0+5")
    assert [(tmp_path / file).read_bytes() for file in files] == [b"one", b"other"]
