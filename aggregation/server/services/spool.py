"""Files of masked inputs: sealed as they came, or a bucket's running sum of them; one folder per round, gone with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from aggregation.secagg.errors import Fault, RemoteProtocolError
from aggregation.server import config
from aggregation.wire import sealing
from aggregation.wire.errors import SealError

LABEL_SLOT = b"cssi/v1/slot"
_RUNNING = "sum-"
_PIECE = 128 * 1024
ENVELOPE_BYTES = 1024
"""What CBOR, signature and seal may add to the vector at most."""


def folder(round_id: int) -> Path:
    path = config.spool() / str(round_id)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def slot_file(round_id: int, name: str) -> Path:
    return folder(round_id) / name


def new_running_sum(bucket: int) -> str:
    """A name for a bucket's next running sum; a file under such a name is never changed."""
    return f"{_RUNNING}{bucket}-{os.urandom(6).hex()}"


def is_running_sum(name: str) -> bool:
    return name.startswith(_RUNNING)


def accumulator_file(round_id: int, bucket: int) -> Path:
    return folder(round_id) / f"bucket-{bucket}.sum"


class SealedFile:
    """A masked input in the spool, opened piece by piece: no more of it is in memory than a piece."""

    def __init__(self, file: BufferedReader) -> None:
        """Raises:
        SealError: it was not sealed to any key.
        """
        self._file = file
        self.left = os.fstat(file.fileno()).st_size - sealing.OVERHEAD
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
def opened(path: Path) -> Iterator[SealedFile]:
    """A masked input to be read. When this ends without an error, what was read is genuine; not before.

    Raises:
        SealError: it was not sealed to this aggregator, or was changed. Said in place of any other error, whose cause it is.
    """
    with path.open("rb") as file:
        sealed = SealedFile(file)
        try:
            yield sealed
        finally:
            sealed.finish()


def fill(file: BufferedReader, into: memoryview) -> None:
    """Fill this with the next bytes of a file.

    Raises:
        OSError: there are not as many.
    """
    if file.readinto(into) != len(into):
        raise OSError("a file of the spool is cut")
