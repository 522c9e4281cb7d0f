"""The load benchmark says what it measured, under the agreed names, and holds it against the agreed targets."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.benchmarks.load import floors, report, site, visits
from tests.benchmarks.load.crowd import percentile
from tests.benchmarks.load.environment import inherited
from tests.benchmarks.load.sockets import PING, Socket, accepted, framed, read


def run(visits_per_s: float) -> dict[str, Any]:
    return {
        "wallets": 300,
        "visits": 900,
        "cohort": 100,
        "visits_per_s": visits_per_s,
        "visits_per_cpu_s": 40.0,
        "cpu_ms_per_visit": 25.0,
        "cpu_seconds_by_part": {"web": 5.4, "host 0": 9.0, "host 1": 9.0},
        "peak_memory_mib": 1_100,
        "ok": True,
        "points": [[0, 0.0], [900, 22.5]],
        "pages": {"first page": {"requests": 9, "p50_ms": 12.0, "p95_ms": 40.0}},
        "pages_failed": 2,
    }


def level(agents: int, p99: float) -> dict[str, Any]:
    return {
        "agents": agents,
        "kib_per_agent": 26.5,
        "connects_per_s": 900.0,
        "server_cpu_ms_per_connect": 0.9,
        "invite_p50_ms": p99 / 3,
        "invite_p95_ms": p99 / 2,
        "invite_p99_ms": p99,
        "server_cpu_ms_per_invitation": 0.05,
    }


def vectors(agents: int, d: int) -> dict[str, Any]:
    return {
        "agents": agents,
        "d": d,
        "vectors_per_s": 50.0,
        "mb_in_per_s": 1.0,
        "server_cpu_ms": 5.0,
        "agents_cpu_ms": 12.0,
    }


FOUND: dict[str, Any] = {
    "load_average": 0.1,
    "crowd": {"levels": [level(1_000, 90.0), level(10_000, 1_400.0)]},
    "apart": run(120.0),
    "packed": run(260.0),
    "growth": {"by_agents": [vectors(50, 5_000), vectors(100, 5_000)], "by_length": [vectors(100, 1_000)]},
    "flower_deployed": {
        "nodes": 10,
        "visits": 30,
        "visits_per_s": 0.4,
        "cpu_ms_per_visit": 2600.0,
        "peak_memory_mib": 1800,
    },
    "flower_simulation": {
        "nodes": 50,
        "visits": 150,
        "visits_per_s": 40.0,
        "cpu_ms_per_visit": 48.0,
        "peak_memory_mib": 900,
    },
}


def test_the_line_has_the_agreed_keys_and_the_largest_crowd() -> None:
    assert report.line(FOUND) == {
        "visits_per_s": 120.0,
        "simulated_visits_per_s": 260.0,
        "idle_agents_held": 10_000,
        "kib_per_idle_agent": 26.5,
        "connects_per_s": 900.0,
        "invite_p99_ms": 1_400.0,
        "visits_ratio_flower_deployed": 300.0,
        "visits_ratio_flower_simulation": 6.5,
    }
    assert set(report.line({}).values()) == {None}
    assert list(report.line({})) == list(report.KEYS)


def test_the_page_says_which_targets_were_met_and_what_is_missing(tmp_path: Path) -> None:
    text = report.page(FOUND)
    assert "| `invite_p99_ms` | " in text
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert rows["invite_p99_ms"].endswith("| no |")
    assert rows["idle_agents_held"].endswith("| yes |")
    assert "answered otherwise than 200: 4." in text
    assert "Other work shared the machine" not in text
    assert "Other work shared the machine" in report.page(FOUND | {"load_average": 30.0})
    assert "in an earlier run" not in text
    assert "Parts: crowd today" in report.page(FOUND | {"at": {"crowd": "today"}})
    partial = report.page({"load_average": 0.1, "crowd": FOUND["crowd"]})
    assert "not in this run" in partial
    assert "Flower on the same model" not in partial
    report.draw(FOUND, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "load-agents.svg",
        "load-length.svg",
        "load-visits.svg",
    ]
    assert 'xmlns="http://www.w3.org/2000/svg"' in (tmp_path / "load-visits.svg").read_text()


@pytest.mark.parametrize(("share", "expected"), [(0.5, 51), (0.99, 100), (0.0, 1), (1.0, 100)])
def test_a_percentile_is_a_value_that_was_seen(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


SIZES = (0, 1, 3, 125, 126, 127, 5_000, 65_535)


def test_a_lean_socket_is_a_websocket_to_an_independent_server() -> None:
    """Messages of all lengths there and back, a ping of the server between them, and an end that both sides see; on the agents' loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_there_and_back())


async def _there_and_back() -> None:
    closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def echo(peer: ServerConnection) -> None:
        await (await peer.ping())
        try:
            async for message in peer:
                await peer.send(message)
        except ConnectionClosed:
            pass
        assert peer.close_code is not None
        closed.set_result(peer.close_code)

    heard: asyncio.Queue[bytes] = asyncio.Queue()
    ended = asyncio.Event()
    async with asyncio.timeout(10), serve(echo, "127.0.0.1", 0, compression=None) as server:
        host, port = next(iter(server.sockets)).getsockname()
        socket = Socket(f"{host}:{port}", "/", heard.put_nowait, ended.set)
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: socket, host, port)
        while not socket.open:
            await asyncio.sleep(0.01)
        for size in SIZES:
            message = bytes(at % 251 for at in range(size))
            socket.send(message)
            assert await heard.get() == message
        assert socket.close()
        await ended.wait()
        assert await closed == 1000
        assert transport.is_closing()


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_is_read_when_it_is_whole_and_not_before(size: int) -> None:
    payload = bytes(at % 249 for at in range(size))
    masked = framed(PING, payload, b"\x01\x02\x03\x04")
    head = masked[: len(masked) - size - 4]
    frame = bytes((head[0], head[1] & 0x7F)) + head[2:] + payload  # as a server says it: without a mask
    assert read(b"x" + frame + b"next", 1) == (PING, payload, 1 + len(frame))
    assert all(
        read(frame[:end], 0) is None for end in {0, 1, len(head) - 1, len(frame) - 1} if end < len(frame)
    )


def test_a_handshake_is_checked() -> None:
    """The key and its answer are those of RFC 6455, section 1.3."""
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    good = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert accepted(good, key)
    assert not accepted(good, b"dGhlIHNhbXBsZSBub25jZR==")
    assert not accepted(good.replace(b"101", b"200"), key)
    with pytest.raises(ValueError, match="64 KiB"):
        framed(PING, bytes(1 << 16), bytes(4))


def test_a_page_that_failed_is_counted_and_a_site_that_was_stopped_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal asked
            asked += 1
            if asked in {3, 4}:
                self.connection.close()
                return
            self.send_response(503 if asked == 6 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setattr(visits, "PAUSE_SECONDS", 0.01)
    site = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    (tmp_path / "seed-example.json").write_text(json.dumps({"points": [[0, 0]]}))
    (tmp_path / "ports.json").write_text(json.dumps({"CSSI_PORT": site.server_port}))
    watcher = visits.Watcher(tmp_path)
    watcher.start()
    limit = time.monotonic() + 20
    while asked < 12 and time.monotonic() < limit:
        time.sleep(0.01)
    site.shutdown()
    site.server_close()
    while not watcher._unheard and time.monotonic() < limit:
        time.sleep(0.01)
    watcher.stop()
    assert watcher._unheard > 0
    assert watcher.failed == 3


def test_a_section_inherits_nothing_of_the_site_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The crowd's site has no chain; the visits' would start none and find none."""
    monkeypatch.setenv("LANG", "C.UTF-8")
    for name, value in site.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    kept = inherited()
    assert not set(site.environment(tmp_path)) & set(kept)
    assert kept["LANG"] == "C.UTF-8"


FLOORS = {
    "wallets": 300,
    "d": 586,
    "wallet_cpu_ms": 9.0,
    "hosted_wallet_cpu_ms": 6.0,
    "aggregator_cpu_ms": 1.0,
    "worker_cpu_ms": 15.0,
    "most_visits_per_s": 80,
    "most_packed_visits_per_s": 286,
}


def test_the_page_says_what_two_cores_can_bear() -> None:
    page = report.page({"packed": run(40.0), "apart": run(20.0), "floors": FLOORS})
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| ")}
    assert rows["**together**"] == "| **together** | **25.0** | **7.0** |"
    assert "| **80** | **286** |" in rows["**visits/s that two cores bear of these alone**"]
    assert rows["a visit with everything, in the run above"].count("25.0, of it the hosts 20.0") == 2
    assert rows["CPU that the target leaves for a visit"].endswith("| 20 | 8 |")
    assert "not in this run" in report.page({"packed": run(40.0), "floors": FLOORS})


def test_the_floors_are_a_whole_round_and_a_real_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floors, "WALLETS", 50)
    monkeypatch.setattr(floors, "REPEATS", 1)
    monkeypatch.setattr(floors, "VISITS", 25)
    found = floors.measure()
    assert found["d"] == 586
    assert 0 < found["aggregator_cpu_ms"] < found["hosted_wallet_cpu_ms"] < found["wallet_cpu_ms"]
    assert found["worker_cpu_ms"] > 1
    both = found["aggregator_cpu_ms"] + found["hosted_wallet_cpu_ms"]
    assert found["most_packed_visits_per_s"] == pytest.approx(2000 / both, rel=0.02)
    assert found["most_visits_per_s"] == pytest.approx(
        2000 / (found["aggregator_cpu_ms"] + found["wallet_cpu_ms"] + found["worker_cpu_ms"]), rel=0.02
    )
