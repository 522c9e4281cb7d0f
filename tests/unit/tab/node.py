"""Runs the wallet's JavaScript modules in Node: a script of `js/`, JSON in, JSON out. Bytes are hex on the way."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

JS = Path(__file__).parent / "js"
SECONDS = 60


def node() -> str:
    """Node 20 or later; without it the test is skipped, which CI does not allow."""
    found = shutil.which("node") or shutil.which("nodejs")
    if found is None:
        pytest.skip("no Node on this machine; install the package nodejs")
    return found


class Script:
    """A script that talks: one JSON line in, one JSON line out, until it ends."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def __aenter__(self) -> Script:
        flags = ("--experimental-websocket", "--no-warnings")
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            node(), *flags, str(JS / f"{self._name}.mjs"), stdin=pipe, stdout=pipe, limit=1 << 26
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 5)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def ask(self, what: str, **arguments: Any) -> Any:
        """What the script's function of that name returns. A failure with a code comes back as `{"error": code}`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = json.dumps({"what": what, **arguments}) + "\n"
        self._process.stdin.write(line.encode())
        await self._process.stdin.drain()
        said = await asyncio.wait_for(self._process.stdout.readline(), SECONDS)
        assert said, f"{self._name}.mjs ended at {what}; its message is above"
        return json.loads(said)
