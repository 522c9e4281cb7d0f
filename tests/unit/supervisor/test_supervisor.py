"""A part that dies comes back and takes its process group along; stopping leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marketplace.supervisor.process import Part
from marketplace.supervisor.supervisor import AlreadyRunningError, Supervisor

FAMILY = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(600)
"""


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if condition():
            return True
        time.sleep(0.02)
    return False


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


@pytest.fixture
def family(tmp_path: Path) -> Iterator[tuple[Supervisor, Path]]:
    note = tmp_path / "child.pid"
    part = Part(
        name="web",
        command=[sys.executable, "-c", FAMILY, str(note)],
        environment=dict(os.environ),
        log=tmp_path / "web.log",
        ready=lambda: note.exists() and note.read_text() != "",
    )
    supervisor = Supervisor([part], lock_file=tmp_path / "lock", say=lambda line: None)
    yield supervisor, note
    supervisor.stop()


def test_a_killed_part_is_restarted_and_its_orphans_are_not_left(family: tuple[Supervisor, Path]) -> None:
    supervisor, note = family
    supervisor.start()
    part = supervisor.part("web")
    first, orphan = part.pid, int(note.read_text())
    assert first is not None
    supervisor.watch_in_background()

    os.kill(first, signal.SIGKILL)

    assert wait_for(lambda: part.pid not in (None, first))
    assert wait_for(lambda: gone(orphan))
    assert part.restarts == 1


def test_stopping_ends_the_whole_group(family: tuple[Supervisor, Path]) -> None:
    supervisor, note = family
    supervisor.start()
    pid, child = supervisor.part("web").pid, int(note.read_text())
    assert pid is not None

    supervisor.stop()

    assert wait_for(lambda: gone(pid) and gone(child))


def test_a_part_that_ends_while_starting_names_its_log(tmp_path: Path) -> None:
    part = Part(
        name="web",
        command=[sys.executable, "-c", "raise SystemExit(3)"],
        environment=dict(os.environ),
        log=tmp_path / "web.log",
        ready=lambda: False,
    )
    part.start()

    with pytest.raises(RuntimeError, match=r"web ended while starting.*web\.log"):
        part.wait_ready()


def test_two_supervisors_never_share_a_state_folder(tmp_path: Path) -> None:
    first = Supervisor([], lock_file=tmp_path / "lock", say=print)
    second = Supervisor([], lock_file=tmp_path / "lock", say=print)
    first.take_lock()

    with pytest.raises(AlreadyRunningError, match="CSSI_VAR"):
        second.take_lock()
    first.stop()


def test_the_delay_grows_with_each_death_and_is_bounded(tmp_path: Path) -> None:
    part = Part(
        name="web",
        command=[sys.executable, "-c", ""],
        environment={},
        log=tmp_path / "log",
        ready=lambda: True,
    )
    delays = []
    for _ in range(8):
        part.start()
        assert part.process is not None
        part.process.wait(10)
        delays.append(part.note_death())

    assert delays[:3] == [0.2, 0.4, 0.8]
    assert max(delays) == 10.0
