"""A demo runs on a state folder and ports of its own, so that it never touches what `make run` keeps.

Settings are read from the environment when Django starts, so this runs before Django does (from `manage.py`) and imports
nothing of it.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path

NOTICE_SECONDS = 6
"""Notice period of a demo: long enough that every wallet sees the notice and could refuse, short enough to watch."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


PORTS = ("CSSI_PORT", "CSSI_CHAIN_PORT")
KEPT_PORTS = "ports.json"
BASE = Path(__file__).resolve().parent.parent.parent


def own_state(arguments: Sequence[str], environment: MutableMapping[str, str] = os.environ) -> None:
    """Point the settings at a folder and free ports for this demo, unless the caller already chose."""
    environment.setdefault("CSSI_VAR", str(BASE / "var" / "demo"))
    for name in PORTS:
        if name not in environment:
            environment[name] = str(free_port())
    environment.setdefault("CSSI_NOTICE_SECONDS", str(NOTICE_SECONDS))
    if any(a.startswith("--development-cohort") for a in arguments):
        environment.setdefault("CSSI_DEVELOPMENT_MINIMA", "True")


def keep_ports(folder: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Write down which ports a run has, so that it has the same ones when it goes on."""
    text = json.dumps({name: environment[name] for name in PORTS})
    (folder / KEPT_PORTS).write_text(text, encoding="ascii")


def kept_state(arguments: Sequence[str], environment: MutableMapping[str, str] = os.environ) -> None:
    """The same for a run that may be stopped and goes on: wallets have pinned the server's address, so its ports stay."""
    environment.setdefault("CSSI_VAR", str(BASE / "var" / "seed-example"))
    folder = Path(environment["CSSI_VAR"])
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / KEPT_PORTS
    kept = json.loads(path.read_text(encoding="ascii")) if path.exists() else {}
    for name in PORTS:
        environment[name] = environment.get(name) or kept.get(name) or str(free_port())
    keep_ports(folder, environment)
    environment.setdefault("CSSI_NOTICE_SECONDS", str(NOTICE_SECONDS))
    if "--development" in arguments:
        environment.setdefault("CSSI_DEVELOPMENT_MINIMA", "True")
