"""One more wall where bubblewrap is installed: the torch parent starts in a file system that holds nothing but its own code.

The wallet's folder, the home directory and /etc are not there at all, and neither is any other process. bubblewrap is given
an empty environment, because /proc/1/environ inside shows bubblewrap's own. Started by root it keeps the few capabilities
its children give away before they read a job (to leave the network, to become nobody) or that end them; a user without privileges gets
a user namespace.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

PACKAGES = ("wallets", "aggregation", "collectives")
SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache")
KEPT_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_SYS_ADMIN", "CAP_KILL")


def installed() -> str | None:
    """The path of the program, or None."""
    return shutil.which("bwrap")


def command(program: str, inner: Sequence[str], source: Path) -> list[str]:
    """The arguments that run `inner` inside. `source` is the folder that holds this project's packages."""
    words = [
        program,
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-uts",
        "--unshare-cgroup-try",
    ]
    words += ["--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108
    words += ["--cap-drop", "ALL"]
    if os.geteuid() == 0:
        for capability in KEPT_CAPABILITIES:
            words += ["--cap-add", capability]
    for path in _readable(source):
        words += ["--ro-bind-try", path, path]
    return [*words, "--chdir", "/", "--", *inner]


def _readable(source: Path) -> list[str]:
    """The system's libraries, this interpreter, what is installed for it, and this project's packages. Outer folders first."""
    wanted = {*SYSTEM, sys.prefix, sys.base_prefix, os.path.realpath(sys.base_prefix)}
    wanted |= {str(Path(sys.executable).resolve().parent.parent)}
    wanted |= {str(source / name) for name in PACKAGES}
    installed_code = {path for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
    return sorted(path for path in wanted | installed_code if path != "/")
