from __future__ import annotations

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.demo import seed
from marketplace.demo.residents import RESIDENTS, Residents
from marketplace.supervisor import parts, prepare
from marketplace.supervisor.supervisor import AlreadyRunningError, Supervisor


class Command(BaseCommand):
    help = "Run every part of the platform on this machine: broker, chain, web, background worker."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--demo-data",
            action="store_true",
            help="make demo log-ins, and a demo collective with lowered minimum sizes and wallets of generated people",
        )
        parser.add_argument(
            "--residents",
            type=int,
            default=RESIDENTS,
            help="with --demo-data: how many wallets live here (default %(default)s; 0: none)",
        )

    def handle(self, *args: Any, demo_data: bool, residents: int, **options: Any) -> None:
        settings.DEVELOPMENT_MINIMA = settings.DEVELOPMENT_MINIMA or demo_data
        supervisor = Supervisor(
            parts.embedded(),
            lock_file=settings.VAR_DIR / "serve.lock",
            say=self._say,
        )
        people = Residents(self._say)
        try:
            supervisor.take_lock()
        except AlreadyRunningError as error:
            raise CommandError(str(error)) from error
        stop = threading.Event()
        starting = True

        def halt(*_: Any) -> None:
            stop.set()
            if starting:  # nobody looks at the event yet, and a start takes a while
                raise KeyboardInterrupt

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, halt)
        try:
            self._start(supervisor)
            if demo_data:
                self._fill(people, residents)
            self.stdout.write(self.style.SUCCESS(f"\nOpen {settings.SITE_URL}   (stop with Ctrl-C)"))
            starting = False
            supervisor.watch_in_background()
            while not stop.wait(0.5):
                pass
            self.stdout.write("Stopping ...")
        except KeyboardInterrupt:
            self.stdout.write("Stopping before everything was up ...")
        except RuntimeError as error:
            raise CommandError(str(error)) from error
        finally:
            starting = False
            people.stop()
            supervisor.stop()
        self.stdout.write(
            "Stopped. Nothing is lost: the state is in the folder named by CSSI_VAR (default var/)."
        )

    def _say(self, line: str) -> None:
        self.stdout.write(f"  {line}")

    def _fill(self, people: Residents, number: int) -> None:
        """Demo log-ins and a collective whose people live here."""
        seed.seed_demo_accounts()
        collective = seed.seed_demo_collective()
        if number:
            people.start(collective, number)
        call_command("seed_demo", stdout=self.stdout)

    def _start(self, supervisor: Supervisor) -> None:
        self.stdout.write("Starting Compute-to-SSI on this machine")
        prepare.check_ports()
        prepare.migrate_all()
        self.stdout.write("  databases are ready, one per trust domain")
        supervisor.start("broker", "chain")
        self.stdout.write(f"  {prepare.deploy_contracts()}")
        supervisor.start("web", "worker")
