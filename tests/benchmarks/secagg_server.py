"""What the real server costs beyond the protocol itself: 200 agents on loopback against the same round in one process.

    python -m tests.benchmarks.secagg_server [--agents 200] [--d 100000] [--rounds 5] [--out FILE] [--strict | --served-only]

Both sides run whole rounds with the same header (buckets of 50, production minima, every signature checked where the protocol
checks it) and end with the same sum, which is compared. In process: real clients and `RoundServer`, messages handed over as bytes, one
thread. Through the server: web process with distributor and aggregator on SQLite, websockets on uvloop, sealed bodies, uploads by PUT, the
step worker; agents in processes of their own. The clock runs from the first agent's joining to the last agent's `done`; invitation,
model download and training are outside on both sides. The agreed bound is 60 % of the in-process throughput. It also reports the server's
CPU per visit and its peak memory in vectors of d above its idle size.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import sys
import tempfile
import time
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import uvloop

BOUND = 0.6
Q, BUCKET, BUCKET_MIN, RELEASE_MIN, THRESHOLD = 16, 50, 40, 100, 760_000
KINDS = 8
"""Different updates among the agents; making them is not on the clock."""


def updates(d: int) -> Any:
    """Shape (KINDS, d), within the quantiser's range."""
    words = np.arange(KINDS * d, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(64 - Q)
    return words.astype(np.int64).reshape(KINDS, d) - (1 << (Q - 1))


# One process


def in_process(agents: int, d: int) -> dict[str, float]:
    """Seconds of wall and CPU for one round in one process."""
    from aggregation.secagg.messages import PhaseSeconds
    from tests.unit.secagg.pair import Wire, header, member_log

    head = header(
        log=member_log(agents),
        d=d,
        q=Q,
        bucket_size=BUCKET,
        bucket_min=BUCKET_MIN,
        release_min=RELEASE_MIN,
        threshold_ppm=THRESHOLD,
        development=False,
        deadlines=PhaseSeconds(advertise=60, share_keys=60, masked_input=60, consistency=60, unmask=60),
    )
    made = updates(d)
    wire = Wire(head, agents, updates=made[np.arange(agents) % KINDS])
    wall, cpu = time.perf_counter(), time.process_time()
    result = wire.run()
    spent = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    total = sum(bucket.sum for bucket in result.sums.values())
    assert np.array_equal(total, made[np.arange(agents) % KINDS].sum(axis=0)), "the sum is wrong"
    return spent


# Agents, in a process of their own


async def agents_main(order: dict[str, Any]) -> None:
    """Many scripted agents on one event loop; talks with the parent in lines of JSON."""
    from tests.apps.roles.wallet import Visit, Wallet

    made, seen = updates(order["d"]), SimpleNamespace(began=0.0, cpu=0.0)
    world = SimpleNamespace(
        url=lambda path: f"http://127.0.0.1:{order['port']}{path}",
        socket=lambda path: f"ws://127.0.0.1:{order['port']}{path}",
        seal_key=bytes.fromhex(order["seal_key"]),
        client=Lean(),
        update=lambda wallet, number: made[wallet.number % KINDS],
    )
    take_part = Visit._take_part

    async def on_the_clock(self: Visit) -> bool:
        if not seen.began:
            seen.began, seen.cpu = time.monotonic(), time.process_time()
        return await take_part(self)

    Visit._take_part = on_the_clock  # type: ignore[method-assign]
    wallets = [Wallet(world, number) for number in range(order["first"], order["first"] + order["agents"])]
    say(public=[wallet.public.hex() for wallet in wallets])
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    await reader.readline()
    for wallet in wallets:
        wallet.start()
    await asyncio.gather(*(wallet.connected.wait() for wallet in wallets))
    say(connected=len(wallets))
    rounds = 0
    while True:
        while not all(len(wallet.outcomes) > rounds for wallet in wallets):
            await asyncio.sleep(0.005)
        rounds += 1
        spent = time.process_time() - seen.cpu
        say(began=seen.began, ended=time.monotonic(), cpu=spent, outcomes=_outcomes(wallets))
        seen.began = 0.0
        if rounds == order["rounds"]:
            break
    await reader.readline()


class Lean:
    """GET and PUT over a connection each, with as little of the machine as possible: the agents' library is not what is measured."""

    async def get(self, url: str) -> Any:
        return await self._ask("GET", url, b"")

    async def put(self, url: str, *, content: bytes) -> Any:
        return await self._ask("PUT", url, content)

    async def _ask(self, verb: str, url: str, content: bytes) -> Any:
        host, _, path = url.removeprefix("http://").partition("/")
        name, _, port = host.partition(":")
        reader, writer = await asyncio.open_connection(name, int(port))
        head = f"{verb} /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        writer.write(content)
        answer = await reader.read()
        writer.close()
        top, _, body = answer.partition(b"\r\n\r\n")
        return SimpleNamespace(
            status_code=int(top.split(b" ", 2)[1]), content=body, text=body.decode("latin-1")
        )


def _outcomes(wallets: list[Any]) -> list[str]:
    return sorted({wallet.outcomes[-1] for wallet in wallets})


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


# The server


async def served(agents: int, d: int, rounds: int, processes: int) -> list[dict[str, float]]:
    """Rounds through the real server; per round seconds of wall, CPU of server and agents, memory."""
    from asgiref.sync import sync_to_async
    from celery import current_app
    from django.conf import settings
    from django.core.management import call_command

    from marketplace.garbage import look_seldom
    from tests.apps.roles.world import World

    for alias in ("distributor", "aggregator"):
        await sync_to_async(call_command)("migrate", database=alias, verbosity=0)
    world = World(d=d, q=Q)
    settings.ROOT_URLCONF = "tests.apps.roles.urls"
    settings.DISTRIBUTOR_URL = settings.AGGREGATOR_URL = world.http
    current_app.send_task = world.worker.send_task  # type: ignore[method-assign]
    await world.start_web()
    world.worker.start()
    children = [await _start(world, agents, d, rounds, processes, place) for place in range(processes)]
    look_seldom()  # as a server does when it is loaded
    measured = []
    try:
        await _enrol(world, children)
        for number in range(1, rounds + 1):
            measured.append(await _round(world, children, number, agents, d))
    finally:
        for child in children:
            child.kill()
        await world.stop()
    return measured


async def _start(world: Any, agents: int, d: int, rounds: int, processes: int, place: int) -> Any:
    first = place * agents // processes
    order = {
        "port": world.port,
        "seal_key": world.seal_key.hex(),
        "d": d,
        "rounds": rounds,
        "first": first,
        "agents": (place + 1) * agents // processes - first,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.benchmarks.secagg_server", "--as-agents", json.dumps(order)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )


async def _hear(child: Any) -> dict[str, Any]:
    async with asyncio.timeout(240):
        line = await child.stdout.readline()
    return dict(json.loads(line))


async def _enrol(world: Any, children: list[Any]) -> None:
    base = f"/internal/distributor/collectives/{world.collective_id}/subscribers"
    for child in children:
        for key in (await _hear(child))["public"]:
            body = {"terms_hash": os.urandom(32).hex(), "expires": int(time.time()) + 10_000}
            await world.ok("collectives", "PUT", f"{base}/{key}", body)
        child.stdin.write(b"go\n")
    for child in children:
        await _hear(child)
    await world.announce(seconds=60)


async def _round(world: Any, children: list[Any], number: int, agents: int, d: int) -> dict[str, float]:
    idle, spending = _memory_kib("VmRSS"), Spending()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    await world.open_round(
        number,
        cohort=agents,
        bucket_size=BUCKET,
        bucket_min=BUCKET_MIN,
        release_min=RELEASE_MIN,
        seconds=120,
        accept_seconds=20,
        weights=64,
    )
    said = [await _hear(child) for child in children]
    began, ended = min(one["began"] for one in said), max(one["ended"] for one in said)
    spent = spending.between(began, ended)
    peak = _memory_kib("VmHWM")
    state = await world.over(number)
    assert state["state"] == "released", state
    # Unmasking closes when every secret has its shares; who answers later hears that the phase is over.
    assert {outcome for one in said for outcome in one["outcomes"]} <= {"released", "phase_over"}, said
    total, count = await world.sum(number)
    path = f"/internal/aggregator/jobs/{world.job_id}/rounds/{number}/collected"
    await world.ok("collectives", "POST", path, {"checkpoint_hash": uuid.uuid4().hex * 2})
    assert (state["survivors"], count) == (agents, agents), state
    assert np.array_equal(total, updates(d)[np.arange(agents) % KINDS].sum(axis=0)), "the sum is wrong"
    return {
        "wall_s": ended - began,
        "server_cpu_s": spent,
        "agents_cpu_s": sum(one["cpu"] for one in said),
        "memory_vectors": max(0, peak - idle) * 1024 / (4 * (d + 2)),
    }


class Spending:
    """This process's CPU over time, looked at every 20 ms, so that a stretch of it can be read afterwards."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, float]] = []
        self._task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            self._seen.append((time.monotonic(), time.process_time()))
            await asyncio.sleep(0.02)

    def between(self, began: float, ended: float) -> float:
        """CPU seconds of a stretch; ends the looking."""
        self._task.cancel()
        inside = [cpu for at, cpu in self._seen if began - 0.02 <= at <= ended + 0.02]
        return inside[-1] - inside[0]


def _memory_kib(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# Together


def best(rows: list[dict[str, float]]) -> dict[str, float]:
    """The round with the least wall time: what the machine can do when nothing else runs on it."""
    return min(rows, key=lambda row: row["wall_s"])


def measure(agents: int, d: int, rounds: int, processes: int) -> dict[str, Any]:
    """Both sides, and their ratios."""
    alone = best([in_process(agents, d) for _ in range(rounds)])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as `manage.py serve` starts it
        there = best(runner.run(served(agents, d, rounds, processes)))
    rates = agents / alone["wall_s"], agents / there["wall_s"]
    return of_server(agents, d, there) | {
        "in_process_visits_per_s": round(rates[0], 1),
        "server_over_in_process": round(rates[1] / rates[0], 3),
        "throughput_per_cpu_over_in_process": round(
            alone["cpu_s"] / (there["server_cpu_s"] + there["agents_cpu_s"]), 3
        ),
        "in_process_cpu_ms_per_visit": round(1000 * alone["cpu_s"] / agents, 2),
        "bound": BOUND,
        "kept": rates[1] >= BOUND * rates[0],
    }


def of_server(agents: int, d: int, there: dict[str, float]) -> dict[str, Any]:
    """The server's side of the figures."""
    return {
        "agents": agents,
        "d": d,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "server_visits_per_s": round(agents / there["wall_s"], 1),
        "agents_cpu_ms_per_visit": round(1000 * there["agents_cpu_s"] / agents, 2),
        "server_cpu_ms_per_visit": round(1000 * there["server_cpu_s"] / agents, 2),
        "server_memory_vectors_rss": round(there["memory_vectors"], 1),
    }


def table(result: dict[str, Any]) -> str:
    width = max(map(len, result))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in result.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--d", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2, help="how many processes hold the agents")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--strict", action="store_true", help="fail below the bound")
    parser.add_argument("--served-only", action="store_true", help="without the rounds in one process")
    parser.add_argument("--as-agents", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.as_agents:
        uvloop.run(agents_main(json.loads(given.as_agents)))  # as a host of wallets does
        return 0
    os.environ["CSSI_TEST_DIR"] = tempfile.mkdtemp(prefix="cssi-bench-")
    os.environ["DJANGO_SETTINGS_MODULE"] = "marketplace.settings.test"
    import django

    django.setup()
    from django.conf import settings

    settings.ALLOWED_HOSTS = ["*"]
    sizes = given.agents, given.d, given.rounds, given.processes
    if given.served_only:
        result = of_server(given.agents, given.d, best(asyncio.run(served(*sizes))))
    else:
        result = measure(*sizes)
    print(table(result), file=sys.stderr)
    print(json.dumps(result))
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if given.strict and not result.get("kept", True) else 0


if __name__ == "__main__":
    sys.exit(main())
