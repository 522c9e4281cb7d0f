"""Files of masked inputs: sealed as they came, or a bucket's running sum of them; one folder per round, gone with it.

An input has a file of its own, or, where it is small, a stretch of the file that a process keeps for a round's: on many systems making a file
costs more than all else that is done with one. The name of such a stretch is `<file>@<offset>+<bytes>`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

from aggregation.secagg.errors import Fault, RemoteProtocolError
from aggregation.server import config
from aggregation.wire import sealing
from aggregation.wire.errors import SealError

LABEL_SLOT = b"cssi/v1/slot"
_RUNNING = "sum-"
_OURS = f"small-{os.urandom(6).hex()}"
"""Of this process alone: processes in containers of their own have the same numbers, and share the spool."""
_PIECE = 128 * 1024
ENVELOPE_BYTES = 1024
"""What CBOR, signature and seal may add to the vector at most."""


def folder(round_id: int) -> Path:
    path = config.spool() / str(round_id)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def slot_file(round_id: int, name: str) -> Path:
    return folder(round_id) / name


class Together:
    """Small inputs of one batch: named first, written behind the others of their round when the database took their names.

    So what was there already (its row cannot be made twice) takes no room. One thread of a process does this.
    """

    def __init__(self) -> None:
        self._files: dict[Path, tuple[int, list[bytes]]] = {}

    def name(self, round_id: int, sealed: bytes) -> str:
        """Where this will lie."""
        path = folder(round_id) / f"{_OURS}-{os.getpid()}"
        if path not in self._files:
            self._files[path] = (path.stat().st_size if path.exists() else 0, [])
        begin, before = self._files[path]
        name = f"{path.name}@{begin + sum(map(len, before))}+{len(sealed)}"
        before.append(sealed)
        return name

    def write(self) -> None:
        """Raises:
        OSError: there is no room, and no name of this batch may stay.
        """
        for path, (begin, bodies) in self._files.items():
            with path.open("ab") as out:
                if out.tell() != begin:
                    raise OSError("another thread wrote into this file")
                out.writelines(bodies)


def remove(round_id: int, names: Iterable[str]) -> None:
    """Remove files, of stretches the whole file."""
    for name in {name.partition("@")[0] for name in names}:
        slot_file(round_id, name).unlink(missing_ok=True)


def shares_a_file(name: str) -> bool:
    """Whether this is a stretch of a file that others lie in."""
    return "@" in name


def new_running_sum(bucket: int) -> str:
    """A name for a bucket's next running sum; a file under such a name is never changed."""
    return f"{_RUNNING}{bucket}-{os.urandom(6).hex()}"


def is_running_sum(name: str) -> bool:
    return name.startswith(_RUNNING)


def accumulator_file(round_id: int, bucket: int) -> Path:
    return folder(round_id) / f"bucket-{bucket}.sum"


class SealedFile:
    """A masked input in the spool, opened piece by piece: no more of it is in memory than a piece."""

    def __init__(self, file: BufferedIOBase, size: int) -> None:
        """Raises:
        SealError: it was not sealed to any key.
        """
        self._file = file
        self.left = size - sealing.OVERHEAD
        """Bytes of the message that were not read yet."""
        if self.left < 0:
            raise SealError("the sealed body is too short")
        self._opening = config.recipient().opening(LABEL_SLOT, file.read(sealing.KEY_BYTES))

    def read(self, into: memoryview) -> None:
        """Fill this with the next bytes of the message.

        Raises:
            RemoteProtocolError: there are not as many.
        """
        if len(into) > self.left:
            raise RemoteProtocolError(Fault.WRONG_SIZE)
        fill(self._file, into)
        self._opening.next(into)
        self.left -= len(into)

    def finish(self) -> None:
        """Whether all of it is genuine, what was not read too.

        Raises:
            SealError: it was not sealed to this aggregator, or was changed.
        """
        scratch = memoryview(bytearray(min(self.left, _PIECE)))
        while self.left:
            self.read(scratch[: self.left])
        self._opening.finish(self._file.read(sealing.TAG_BYTES))


@contextmanager
def opened(round_id: int, name: str) -> Iterator[SealedFile]:
    """A masked input of the spool to be read, as `opening`."""
    file, _, where = name.partition("@")
    at, _, size = where.partition("+")
    with slot_file(round_id, file).open("rb") as source:
        source.seek(int(at or 0))
        with opening(source, int(size or os.fstat(source.fileno()).st_size)) as sealed:
            yield sealed


@contextmanager
def opening(source: BufferedIOBase, size: int) -> Iterator[SealedFile]:
    """A masked input to be read. When this ends without an error, what was read is genuine; not before.

    Raises:
        SealError: it was not sealed to this aggregator, or was changed. Said in place of any other error, whose cause it is.
    """
    sealed = SealedFile(source, size)
    try:
        yield sealed
    finally:
        sealed.finish()


def fill(file: BufferedIOBase, into: memoryview) -> None:
    """Fill this with the next bytes of a file.

    Raises:
        OSError: there are not as many.
    """
    if file.readinto(into) != len(into):
        raise OSError("a file of the spool is cut")
