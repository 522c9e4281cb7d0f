"""The tab's secure aggregation clients, in a Node child, behind the interface of the Python client: so that a `Wire` can mix both."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aggregation.secagg.errors import Fault, LocalProtocolError, RemoteProtocolError
from aggregation.secagg.messages import Header
from aggregation.wire.secret import Secret
from tests.unit.tab.node import node

SCRIPT = Path(__file__).parent / "js" / "clients.mjs"


class Tabs:
    """The child. `client` makes a client in it; a client made again for the same wallet finds the notes of the one before."""

    def __init__(self) -> None:
        self._child = subprocess.Popen([node(), SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def client(self, head: Header, key: Secret, wallet: str, *, verify_sample: int | None = 8) -> Tab:
        self.ask(
            wallet, "create", header=_text(head.to_bytes()), seed=_text(key.reveal()), sample=verify_sample
        )
        return Tab(self, wallet)

    def ask(self, wallet: str, what: str, **more: Any) -> dict[str, Any]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps({"wallet": wallet, "do": what, **more}).encode() + b"\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        assert line, f"the child ended at {what}; its message is above"
        said: dict[str, Any] = json.loads(line)
        return said

    def end(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(10)


class Tab:
    """One client, as `aggregation.secagg.client.SecAggClient` is used."""

    def __init__(self, tabs: Tabs, wallet: str) -> None:
        self._tabs, self._wallet, self.closed = tabs, wallet, False

    def advertise(self) -> bytes:
        return self._say("advertise")

    def receive_list(self, data: bytes, *, now: int) -> bytes:
        return self._say("receive_list", message=_text(data), now=now)

    def receive_shares(self, data: bytes) -> None:
        self._say("receive_shares", message=_text(data))

    def mask(self, update: Any) -> bytes:
        return self._say("mask", update=[int(value) for value in update])

    def receive_survivors(self, data: bytes) -> bytes:
        return self._say("receive_survivors", message=_text(data))

    def receive_consistency(self, data: bytes) -> bytes:
        return self._say("receive_consistency", message=_text(data))

    def close(self) -> None:
        self._say("close")

    def _say(self, what: str, **more: Any) -> bytes:
        said = self._tabs.ask(self._wallet, what, **more)
        self.closed = said["closed"]
        if "code" in said:
            raise (LocalProtocolError if said["local"] else RemoteProtocolError)(Fault(said["code"]))
        return base64.b64decode(said.get("message", ""))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def tabs() -> Iterator[Tabs]:
    started = Tabs()
    yield started
    started.end()
