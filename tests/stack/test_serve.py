"""`manage.py serve` as somebody at a terminal meets it: it stops cleanly, mends itself, and refuses with a sentence."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.stack.small import ROOT, Serve, SmallStack, stack_environment, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(280)]
PARTS = {"broker", "chain", "web", "worker"}


@pytest.fixture(scope="module")
def running(small_stack: SmallStack) -> Serve:
    """The stack that the other tests used, up again if one of them stopped it."""
    if small_stack.serve.process is None:
        small_stack.serve.start()
    return small_stack.serve


def listed(*options: str) -> list[tuple[int, int, str]]:
    """Process id, parent and whole command of the processes `ps` selects, however narrow the terminal says it is."""
    said = subprocess.run(
        ["ps", "-ww", *options, "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=False
    ).stdout
    rows = (line.split(None, 2) for line in said.splitlines())
    return [(int(pid), int(parent), words) for pid, parent, words in rows]


def family(serve: Serve) -> dict[int, str]:
    """The supervisor and everything it started, grandchildren too: process id and command."""
    assert serve.process is not None
    found, fresh = {}, {serve.process.pid: "serve"}
    processes = listed("-e")
    while fresh:
        found.update(fresh)
        # Ids start again from the bottom when they are used up: a child's may be below its parent's.
        fresh = {pid: words for pid, parent, words in processes if parent in fresh}
    return found


def alive(pid: int) -> bool:
    """Whether a process exists and is no mere entry of one that ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def main_process(serve: Serve, part: str) -> int | None:
    """The process of a part that the supervisor itself started."""
    assert serve.process is not None
    words = {"web": "uvicorn", "worker": "celery", "chain": "devchain", "broker": "valkey"}[part]
    children = listed("--ppid", str(serve.process.pid))
    return next((pid for pid, _, command in children if words in command), None)


def refused(environment: dict[str, str]) -> str:
    """What a serve that cannot start says."""
    ended = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    assert "Traceback" not in said
    return said


def url(serve: Serve) -> str:
    return f"http://127.0.0.1:{serve.environment['CSSI_PORT']}"


def test_it_says_where_it_is_open_and_answers_there(running: Serve) -> None:
    assert f"Open {url(running)}" in running.said
    assert set(running.pids()) == PARTS
    assert httpx.get(url(running), trust_env=False).status_code == 200


def test_a_second_one_on_the_same_folder_is_refused(running: Serve) -> None:
    said = refused(running.environment)
    assert "Something already runs on" in said
    assert running.environment["CSSI_VAR"] in said
    assert "CSSI_VAR" in said
    assert httpx.get(url(running), trust_env=False).status_code == 200


@pytest.mark.parametrize("part", ["web", "worker", "chain", "broker"])
def test_a_killed_part_is_started_again(running: Serve, small_stack: SmallStack, part: str) -> None:
    victim = main_process(running, part)
    assert victim is not None
    times = running.said.count(f"{part} died")
    os.kill(victim, signal.SIGKILL)
    until(lambda: running.said.count(f"{part} died") > times, seconds=20, what="the death to be noticed")
    until(lambda: main_process(running, part) not in (None, victim), seconds=20, what="its return")
    until(lambda: _home(running) == 200, seconds=60, what="the site to answer")
    small_stack.connect()


def _home(serve: Serve) -> int:
    try:
        return httpx.get(f"{url(serve)}/healthz", trust_env=False, timeout=5).status_code
    except httpx.HTTPError:
        return 0


def test_ctrl_c_leaves_no_process(running: Serve) -> None:
    processes = family(running)
    assert len(processes) > len(PARTS)
    code = running.stop(signal.SIGINT)
    assert code == 0, running.said
    assert "Stopped. Nothing is lost" in running.said
    assert "Traceback" not in running.said
    until(lambda: not any(map(alive, processes)), seconds=10, what="every process to end")


def test_a_killed_one_leaves_no_process(running: Serve) -> None:
    if running.process is None:
        running.start()
    processes = family(running)
    assert any("--beat" in words for words in processes.values())
    running.kill()
    until(lambda: not any(map(alive, processes)), seconds=15, what="every process to end")


def test_a_signal_while_it_is_starting_stops_it_too(tmp_path: Path) -> None:
    serve = Serve(stack_environment(tmp_path))
    serve.begin()
    try:
        until(lambda: "broker is up" in serve.said, seconds=90, what="the first part")
        processes = family(serve)
        assert len(processes) > 1
        code = serve.stop(signal.SIGTERM)
    finally:
        serve.kill()
    assert code == 0, serve.said
    assert "Traceback" not in serve.said
    assert "Open http" not in serve.said
    until(lambda: not any(map(alive, processes)), seconds=10, what="every process to end")


def test_a_busy_port_is_said(tmp_path: Path) -> None:
    environment = stack_environment(tmp_path / "web")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(environment["CSSI_PORT"])))
        taken.listen()
        said = refused(environment)
    assert re.search(rf"port {environment['CSSI_PORT']} is in use", said, re.I), said
    assert "CSSI_PORT" in said
    environment = stack_environment(tmp_path / "chain")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(environment["CSSI_CHAIN_PORT"])))
        taken.listen()
        said = refused(environment)
    assert "CSSI_CHAIN_PORT" in said
