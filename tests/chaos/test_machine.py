"""The suite's own machinery does what it says: a clock that jumps, a line that doubles and swaps, a line that cuts calls."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from tests.chaos.chain_line import ChainLine
from tests.chaos.machine import Clock
from tests.chaos.tampering import TamperedLine

PROGRAM = """
import sys, time
for line in sys.stdin:
    print(time.time(), time.monotonic(), flush=True)
"""


def test_a_running_process_sees_the_clock_jump_and_its_durations_do_not(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    if clock.missing:
        pytest.skip(f"not possible here: {clock.missing}")
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | dict(clock.environment),
    )
    asked, answered = child.stdin, child.stdout
    assert asked is not None
    assert answered is not None

    def look() -> tuple[float, float]:
        asked.write("\n")
        asked.flush()
        wall, steady = answered.readline().split()
        return float(wall), float(steady)

    try:
        first = look()
        assert first[0] == pytest.approx(time.time(), abs=5)
        clock.set(-3600)
        second = look()
        assert second[0] == pytest.approx(time.time() - 3600, abs=5)
        assert 0 <= second[1] - first[1] < 30
        clock.set(0)
        assert look()[0] == pytest.approx(time.time(), abs=5)
    finally:
        asked.close()
        child.wait(10)


class Chain(BaseHTTPRequestHandler):
    asked: list[str] = []

    def do_POST(self) -> None:
        method = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["method"]
        self.asked.append(method)
        body = json.dumps({"result": method}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def chain() -> Iterator[ChainLine]:
    Chain.asked = []
    server = HTTPServer(("127.0.0.1", 0), Chain)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    line = ChainLine(server.server_port)
    yield line
    line.end()
    server.shutdown()


def ask(line: ChainLine, method: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", line.port, timeout=10)
    connection.request("POST", "/", json.dumps({"method": method, "params": [1]}))
    return json.loads(connection.getresponse().read())


def test_a_call_is_cut_before_or_after_the_chain_did_it(chain: ChainLine) -> None:
    assert ask(chain, "eth_chainId") == {"result": "eth_chainId"}
    for when, done in (("before", 0), ("after", 1)):
        Chain.asked.clear()
        chain.hook = lambda method, parameters, moment, when=when: (
            (method, parameters, moment) == ("send", [1], when)
        )
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            ask(chain, "send")
        assert Chain.asked.count("send") == done
        assert ask(chain, "receipt") == {"result": "receipt"}


async def over_the_line(*, doubling: bool = False, swapping: bool = False) -> list[str]:
    """What arrives of m0 … m7, the first three of which are a handshake."""
    arrived: list[str] = []

    async def keep(socket: Any) -> None:
        async for message in socket:
            arrived.append(message)

    async with serve(keep, "127.0.0.1", 0) as server:
        line = TamperedLine(server.sockets[0].getsockname()[1])
        line.doubling, line.swapping = doubling, swapping
        try:
            async with connect(line.url.replace("http", "ws"), proxy=None, compression=None) as socket:
                for number in range(8):
                    await socket.send(f"m{number}")
                await asyncio.sleep(0.4)
        finally:
            await asyncio.to_thread(line.end)
    return arrived


async def test_messages_after_the_handshake_arrive_twice() -> None:
    arrived = await over_the_line(doubling=True)
    assert arrived == ["m0", "m1", "m2", *(name for n in range(3, 8) for name in (f"m{n}", f"m{n}"))]


async def test_neighbours_change_places_and_none_is_lost() -> None:
    arrived = await over_the_line(swapping=True)
    assert arrived == ["m0", "m1", "m2", "m4", "m3", "m6", "m5", "m7"]


async def test_an_honest_line_changes_nothing() -> None:
    assert await over_the_line() == [f"m{n}" for n in range(8)]
