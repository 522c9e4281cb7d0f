"""The embedded platform and the wallet hosts on a state folder that is kept, so that a run can be stopped and go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import connections

from marketplace.demo.hosts import HostProcess
from marketplace.demo.isolation import keep_ports
from marketplace.demo.seed_example.costs import Cost, of_trees
from marketplace.demo.stage import _empty as clean
from marketplace.supervisor import parts, prepare
from marketplace.supervisor.supervisor import Supervisor

HOSTS = 2
"""One for each processor of the machine that the design speaks of."""
VISITS_PER_DAY = 1_000
START_SECONDS = 900.0
"""A run of hours may be begun on a machine that does other things as well."""


class KeptStage:
    """Everything that runs, and what it costs."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.folder = Path(settings.VAR_DIR)
        self.supervisor = Supervisor([], lock_file=self.folder.with_name(self.folder.name + ".lock"), say=say)
        self.hosts: list[HostProcess] = []
        self._pids: dict[str, int] = {}

    def begin(self, *, fresh: bool) -> None:
        """Take the folder; empty it when asked."""
        self.supervisor.take_lock()
        prepare.check_ports()
        if fresh:
            clean(self.folder)
            keep_ports(self.folder)

    def start(self, *, development: bool, packed: bool) -> None:
        """Broker, chain, web, worker, and the hosts with the wallets they have."""
        self.supervisor.parts = parts.embedded()
        for part in self.supervisor.parts:
            part.ready_within = START_SECONDS
        self.supervisor.launch("broker", "chain")
        prepare.migrate_all()
        self.supervisor.start("broker", "chain")
        self._say(prepare.deploy_contracts())
        self.supervisor.start("web", "worker")
        self.supervisor.watch_in_background()
        arguments = ["--rule", "host", "--slots", "1", "--quiet"]
        arguments += ["--visits-per-day", str(VISITS_PER_DAY)]
        arguments += ["--packed"] if packed else []
        arguments += ["--allow-development"] if development else []
        for number in range(HOSTS):
            host = HostProcess(
                directory=self.folder / "wallets" / f"host-{number}",
                arguments=arguments,
                log=Path(settings.LOG_DIR) / f"host-{number}.log",
            )
            self.hosts.append(host)
        for number, host in enumerate(self.hosts):
            host.wait_ready(3600)
            host.call("server", url=settings.SITE_URL)
            self._pids[f"host {number}"] = host.call("status")["pid"]

    def costs(self) -> dict[str, Cost]:
        """Of every part and host now."""
        roots = {part.name: part.pid for part in self.supervisor.parts if part.pid is not None}
        return of_trees(roots | self._pids)

    def stop(self) -> None:
        for host in self.hosts:
            host.stop()
        self.supervisor.stop()
        connections.close_all()
