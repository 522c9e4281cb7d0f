"""The command line as a fixture: it runs one command of the wallet of this test and says what it printed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.agent import documents
from tests.unit.agent.world import World
from wallets.agent import cli, keeping, vault
from wallets.agent.keyfile import Argon2Cost

Run = Callable[..., Any]


class Said:
    """What one command did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        assert "Traceback" not in out + err


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery\n")
    monkeypatch.setenv("WALLET_PASSPHRASE_FILE", str(secret))
    for module in (vault, keeping):
        monkeypatch.setattr(module, "Argon2Cost", lambda: Argon2Cost(memory_kib=64, passes=1))

    async def command(*words: str) -> Said:
        arguments = ["--wallet", str(tmp_path / "w"), *words]
        code = await asyncio.to_thread(cli.main, arguments)
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return command


@pytest.fixture
def requirement(tmp_path: Path) -> str:
    path = tmp_path / "requirement.json"
    path.write_text(json.dumps(documents.REQUIREMENT))
    return str(path)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as made:
        yield made
