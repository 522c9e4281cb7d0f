"""Oracle 5 with real crashes: a wallet's process is killed around the durable note, and the note is what the disk holds.

The wallet runs in a process of its own with the note in a file (created exclusively, synced, then its folder synced). It is killed
before the note, between note and answer, or after the answer left; then the same wallet is started again, with all messages of the
round at hand. Over all lives at most one answer ever reaches the server.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aggregation.secagg.errors import Fault, ProtocolError
from aggregation.secagg.messages import Unmask
from tests.unit.secagg.pair import NOW, Wire, client, header

ROOT = Path(__file__).resolve().parents[3]
STAGES = ("before the note", "between note and answer", "after the answer", "never")
ALREADY = 17


class FileNote:
    """`note_revealed` on a disk. `die` names where the process kills itself."""

    def __init__(self, folder: Path, die: str) -> None:
        self._folder, self._die = folder, die

    def __call__(self, job: bytes, number: int) -> bool:
        if self._die == STAGES[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            handle = os.open(
                self._folder / f"{job.hex()}-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600
            )
        except FileExistsError:
            return False
        os.fsync(handle)
        os.close(handle)
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        if self._die == STAGES[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        return True


def wire() -> Wire:
    return Wire(header(bucket_size=5), 5, verify_sample=None)


def life(folder: Path, die: str) -> None:
    """One life of wallet 0: through the whole round to its answer, which is written where the server would get it."""
    w = wire().until("unmask")
    wallet = client(w.head, 0, verify_sample=None)
    wallet._note_revealed = FileNote(folder / "notes", die)
    wallet.advertise()
    wallet.receive_list(w.lists[w.keys[0]], now=NOW)
    wallet.receive_shares(w.bundles[w.keys[0]])
    assert w.updates is not None
    wallet.mask(w.updates[0])
    wallet.receive_survivors(w.survivors[0])
    try:
        answer = wallet.receive_consistency(w.agreements[w.keys[0]])
    except ProtocolError as error:
        sys.exit(ALREADY if error.reason is Fault.ALREADY_REVEALED else 1)
    with (folder / "answers").open("ab") as out:
        out.write(answer)
    if die == STAGES[2]:
        os.kill(os.getpid(), signal.SIGKILL)


def run(folder: Path, die: str) -> int:
    code = "import sys; from pathlib import Path; from tests.unit.secagg.test_crashes import life; life(Path(sys.argv[1]), sys.argv[2])"
    return subprocess.run([sys.executable, "-c", code, str(folder), die], cwd=ROOT, check=False).returncode


@pytest.mark.parametrize(
    ("die", "answers"),
    [(STAGES[0], 1), (STAGES[1], 0), (STAGES[2], 1)],
    ids=lambda x: str(x).replace(" ", "-"),
)
def test_a_killed_wallet_answers_at_most_once(tmp_path: Path, die: str, answers: int) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "answers").touch()
    assert run(tmp_path, die) == -signal.SIGKILL
    second = run(tmp_path, "never")
    assert second == (0 if die == STAGES[0] else ALREADY)
    assert run(tmp_path, "never") == ALREADY
    said = (tmp_path / "answers").read_bytes()
    assert bool(said) == bool(answers)
    if answers:
        assert Unmask.from_bytes(said).to_bytes() == said, "one answer, not two"
