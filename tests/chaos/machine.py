"""The machine the site runs on, so that it can go wrong: a small disk of its own, and a clock that can be set."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")
DISK_MEGABYTES = 1536


class NotPossibleHere(RuntimeError):
    """This machine cannot be made to fail in this way; the sentence says what is missing."""


class Disk:
    """A file system of a fixed size for everything the site keeps; `fill` takes the last byte of it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cssi-chaos-"))
        self.folder.chmod(0o755)  # PostgreSQL runs as another user
        mount = shutil.which("mount")
        command = [
            str(mount),
            "-t",
            "tmpfs",
            "-o",
            f"size={DISK_MEGABYTES}m,mode=755",
            "tmpfs",
            str(self.folder),
        ]
        self.small = (
            mount is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0
        )
        self._ballast = self.folder / "ballast"

    def fill(self) -> int:
        """Take all that is left; how many bytes.

        Raises:
            NotPossibleHere: the site lies on the machine's own disk.
        """
        if not self.small:
            raise NotPossibleHere("a file system of one's own needs the right to mount one")
        block, written = b"\0" * (1 << 20), 0
        with self._ballast.open("ab", buffering=0) as out:
            while block:
                try:
                    written += out.write(block)
                except OSError:
                    block = block[: len(block) // 2]
        return written

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def end(self) -> None:
        if self.small:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class Clock:
    """An offset to the time of day of every process that is started with `environment`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "offset"
        self._library = folder / "clock.so"
        self._file.write_bytes(struct.pack("<q", 0))
        self._file.chmod(0o644)
        compiler = shutil.which("cc") or shutil.which("gcc")
        self.missing = "" if compiler else "the clock's library needs a C compiler"
        if compiler:
            command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(self._library), str(SOURCE)]
            subprocess.run(command, check=True, capture_output=True)

    @property
    def environment(self) -> Mapping[str, str]:
        if self.missing:
            return {}
        return {"LD_PRELOAD": str(self._library), "CSSI_CLOCK_OFFSET": str(self._file)}

    def set(self, seconds: int) -> None:
        """Jump: every process sees the new time at its next look.

        Raises:
            NotPossibleHere: there is no such library here.
        """
        if self.missing:
            raise NotPossibleHere(self.missing)
        with self._file.open("r+b") as out, mmap.mmap(out.fileno(), 8) as shared:
            shared[:8] = struct.pack("<q", seconds)


def stop_group(pid: int, number: int) -> None:
    """A signal to a process that leads its group, and to the group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
