"""The stage of a demo: every part started on this machine, wallet hosts as processes of their own, a clean state folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import connections

from marketplace.demo.hosts import HostProcess, Hosts
from marketplace.demo.tabs import TabHost
from marketplace.supervisor import parts, prepare
from marketplace.supervisor.supervisor import Supervisor

Say = Callable[[str], None]
HOSTS = 2
VISITS_PER_DAY = 1_000
"""A demo's wallets allow more visits a day than people's would: the whole job takes minutes."""


class Stage:
    """Owns the state folder while a demo runs."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.folder = Path(settings.VAR_DIR)
        self.supervisor = Supervisor([], lock_file=self.folder.with_name(self.folder.name + ".lock"), say=say)
        self.hosts: Hosts | None = None

    def start(self, *, development: bool) -> None:
        """Empty the folder, start broker, chain, web and worker, deploy the contracts. What needs nothing of the others starts first."""
        self.supervisor.take_lock()
        prepare.check_ports()
        _empty(self.folder)
        self._launch_hosts(development=development)
        self.supervisor.parts = parts.all_of_this_machine()
        self.supervisor.launch("broker", "chain")
        prepare.migrate_all()
        self.supervisor.start("broker", "chain")
        self._say(prepare.deploy_contracts())
        self.supervisor.start(*(p.name for p in self.supervisor.parts if p.name not in {"broker", "chain"}))
        self.supervisor.watch_in_background()

    def ready_hosts(self) -> Hosts:
        """The wallet hosts, which pin this server from here on and follow what their people confirmed on the web."""
        assert self.hosts is not None
        for process in self.hosts.all:
            process.wait_ready()
            process.call("server", url=settings.SITE_URL)
        return self.hosts

    def open_tabs(self, number: int) -> TabHost:
        """A browser with so many windows, one wallet each; it ends with the stage."""
        assert self.hosts is not None
        tabs = TabHost(
            number,
            site=settings.SITE_URL,
            folder=self.folder / "wallets" / "browser",
            log=Path(settings.LOG_DIR) / "browser.log",
        )
        self.hosts.tabs = tabs
        return tabs

    def _launch_hosts(self, *, development: bool) -> None:
        arguments = ["--rule", "confirmed-on-web", "--slots", "1", "--spy"]
        arguments += ["--visits-per-day", str(VISITS_PER_DAY)]
        if development:
            arguments.append("--allow-development")
        processes = [
            HostProcess(
                directory=self.folder / "wallets" / f"host-{number}",
                arguments=arguments,
                log=Path(settings.LOG_DIR) / f"host-{number}.log",
            )
            for number in range(HOSTS)
        ]
        self.hosts = Hosts(processes)

    def stop(self) -> None:
        if self.hosts is not None:
            self.hosts.stop()
        self.supervisor.stop()
        connections.close_all()


def _empty(folder: Path) -> None:
    """Remove a former demo's state; keys too, so that nothing of it lives on. The settings made fresh keys already: keep those."""
    for item in folder.iterdir():
        if item.name == "keys":
            shutil.rmtree(item / "chain", ignore_errors=True)
        elif item.is_dir():
            shutil.rmtree(item)
        else:
            item.unlink()


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str, every: float = 0.3) -> None:
    """Raises:
    TimeoutError: it did not come true in time; says what was waited for.
    """
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError(f"Waited {seconds:.0f} s for {what}. The logs are in {settings.LOG_DIR}.")
        time.sleep(every)
