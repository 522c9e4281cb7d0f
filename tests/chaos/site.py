"""The site that is broken: the production profile on one machine, started by this process, which may look into every database."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from marketplace.keys import ensure_keys_apart
from marketplace.settings.roles import KEY_FILES
from marketplace.supervisor.apart import DOMAIN, DOMAIN_SCRIPT, ROLES
from marketplace.supervisor.servers import PrivatePostgres, PrivateRedis, free_port
from tests.chaos.chain_line import ChainLine
from tests.chaos.machine import Clock, Disk, stop_group
from tests.chaos.tampering import TamperedLine

Say = Callable[[str], None]
READY_SECONDS = 400
LEFT_OUT = ("issuer", "web-settlement", "web-notices-audits")
"""Parts without work here: no wallet asks the issuer, and one worker takes all queues of the web role."""
BLOCK_SECONDS = 1.0


class Site:
    """Servers, lines and parts. `prepare` must run before anything of Django is imported."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.disk = Disk()
        self.folder = self.disk.folder
        self.clock = Clock(self.folder)
        os.environ.update(self.clock.environment)  # databases, broker and wallets live on this machine too
        tempfile.tempdir = str(self.folder)
        self.postgres, self.redis = PrivatePostgres(durable=True), PrivateRedis(users=ROLES)
        self.port, chain_port = free_port(), free_port()
        self.chain_line = ChainLine(chain_port)
        self._here = SimpleNamespace(
            VAR_DIR=self.folder,
            SITE_URL=f"http://127.0.0.1:{self.port}",
            CHAIN_ID=1337,
            CHAIN_PORT=chain_port,
            PORT=self.port,
        )
        self.supervisor: Any = None
        self.start_seconds = 0.0
        self.blocks_come, self._over = threading.Event(), threading.Event()
        self.blocks_come.set()

    def prepare(self) -> None:
        """Start the servers and say in the environment where everything is.

        Raises:
            NotInstalledError: PostgreSQL or Redis is not installed here.
        """
        self.postgres.start()
        self.redis.start()
        for role in ROLES:
            self.postgres.domain(DOMAIN[role], DOMAIN_SCRIPT)
        keys = self.folder / "keys"
        ensure_keys_apart(keys, KEY_FILES)
        from marketplace.demo.rehearsal import environment

        told = environment(self.postgres, self.redis, keys, self._here)
        self.distributor_line = TamperedLine(int(told["CSSI_PORT_DISTRIBUTOR"]))
        self.aggregator_line = TamperedLine(int(told["CSSI_PORT_AGGREGATOR"]))
        os.environ.update(told)
        os.environ.update(
            {
                "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
                "CSSI_PORT": str(self.port),
                "CSSI_CHAIN_PORT": str(self._here.CHAIN_PORT),
                "CHAIN_RPC_URL": self.chain_line.url,
                "DISTRIBUTOR_URL": self.distributor_line.url,
                "AGGREGATOR_URL": self.aggregator_line.url,
                "CSSI_NOTICE_SECONDS": "1",
                "CSSI_DEVELOPMENT_MINIMA": "True",
                "OMP_NUM_THREADS": "1",
            }
        )

    def start(self) -> None:
        """Tables, contracts and every part; what dies is started again from here on."""
        import django

        django.setup()
        from marketplace.supervisor import parts, prepare
        from marketplace.supervisor.supervisor import Supervisor

        made = [_lean(part) for part in parts.all_of_this_machine() if part.name not in LEFT_OUT]
        for part in made:
            part.environment = {**part.environment, **self.clock.environment}
            part.ready_within = READY_SECONDS
        self.supervisor = Supervisor(made, lock_file=self.folder / "chaos.lock", say=lambda line: None)
        self.supervisor.launch("chain")
        prepare.migrate_all()
        self.supervisor.start("chain")
        threading.Thread(target=self._mine, daemon=True).start()
        self.say(prepare.deploy_contracts())
        began = time.monotonic()
        self.supervisor.start()
        self.start_seconds = time.monotonic() - began
        self.supervisor.watch_in_background()
        self.say(f"{len(made)} parts are up")

    def names(self) -> list[str]:
        return [part.name for part in self.supervisor.parts]

    def kill(self, name: str) -> None:
        """`kill -9` of a part and of the processes it started."""
        pid = self.supervisor.part(name).pid
        if pid is not None:
            stop_group(pid, signal.SIGKILL)

    def freeze(self, name: str) -> Callable[[], None]:
        """Stop a part without ending it; call the answer to let it go on."""
        pid = self.supervisor.part(name).pid
        if pid is None:
            return lambda: None
        stop_group(pid, signal.SIGSTOP)
        return lambda: stop_group(pid, signal.SIGCONT)

    def wait_up(self) -> None:
        """Until every part runs and answers again.

        Raises:
            TimeoutError: names what does not.
        """
        limit = time.monotonic() + READY_SECONDS
        for part in self.supervisor.parts:
            while not (part.alive() and part.ready()):
                if time.monotonic() > limit:
                    raise TimeoutError(f"{part.name} does not come back; its log is {part.log}")
                time.sleep(0.2)

    def revive(self) -> None:
        """Start the database again if it gave up, as its service manager would."""
        if not self.postgres.alive():
            self.postgres.up()

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.chain_line.call("evm_mine")

    def _mine(self) -> None:
        """Blocks come by themselves on a real chain; the development chain makes one when somebody asks."""
        while not self._over.wait(BLOCK_SECONDS):
            if self.blocks_come.is_set():
                with contextlib.suppress(OSError, ValueError):
                    self.mine()

    def remember_chain(self) -> None:
        """Keep the chain as it is now, for `forget_blocks`."""
        with (
            sqlite3.connect(self._chain_file()) as now,
            sqlite3.connect(self.folder / "chain-then.sqlite3") as then,
        ):
            now.backup(then)
        now.close()
        then.close()

    def forget_blocks(self) -> int:
        """The chain goes on from where it was remembered, as if another branch had won; how many blocks that undoes."""
        latest = int(self.chain_line.call("eth_blockNumber"), 16)
        self.freeze("chain")
        for tail in ("-wal", "-shm"):
            self._chain_file().with_name(self._chain_file().name + tail).unlink(missing_ok=True)
        (self.folder / "chain-then.sqlite3").replace(self._chain_file())
        self.kill("chain")
        self.wait_up()
        return latest - int(self.chain_line.call("eth_blockNumber"), 16)

    def _chain_file(self) -> Path:
        return self.folder / "chain" / "chain.sqlite3"

    def end(self, *, keep: bool = False) -> None:
        """Stop everything; with `keep` the folder with logs and databases stays."""
        self._over.set()
        if self.supervisor is not None:
            self.supervisor.stop()
        self.redis.down()
        self.postgres.down()
        self.chain_line.end()
        if not keep:
            self.disk.end()


def _lean(part: Any) -> Any:
    """A process per role and one worker for all queues of the web role: what more of the same would do is tried elsewhere."""
    if part.name == "web-rounds":
        part.name = "web-worker"
        part.environment = {**part.environment, "CSSI_QUEUES": "rounds,settlement,notices,audits"}
    part.environment = {**part.environment, "WEB_CONCURRENCY": "1"}
    return part


class Here:
    """What `tests.stack.small.Inside` does from a process of its own, done in this one. A database that is being restarted is waited for."""

    def __getattr__(self, act: str) -> Callable[..., Any]:
        def call(**fields: Any) -> Any:
            from tests.stack import acts

            return json.loads(json.dumps(patiently(lambda: getattr(acts, act)(**fields)), default=str))

        return call


def patiently(work: Callable[[], Any], seconds: float = 90) -> Any:
    """The answer of something that asks databases or chain, asked again while these are down."""
    from django.db import InterfaceError, OperationalError, connections

    from marketplace.settlement.errors import ChainUnavailable

    limit = time.monotonic() + seconds
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError, ChainUnavailable):
            if time.monotonic() > limit:
                raise
            for connection in connections.all(initialized_only=True):
                connection.close()
            time.sleep(0.5)
