from __future__ import annotations

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace.supervisor import parts, prepare
from marketplace.supervisor.supervisor import AlreadyRunningError, Supervisor


class Command(BaseCommand):
    help = "Run every part of the platform on this machine: broker, chain, web, background worker."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--demo-data", action="store_true", help="make demo log-ins and a demo collective"
        )

    def handle(self, *args: Any, demo_data: bool, **options: Any) -> None:
        supervisor = Supervisor(
            parts.embedded(),
            lock_file=settings.VAR_DIR / "serve.lock",
            say=lambda line: self.stdout.write(f"  {line}"),
        )
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
            self._start(supervisor, demo_data)
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
            supervisor.stop()
        self.stdout.write(
            "Stopped. Nothing is lost: the state is in the folder named by CSSI_VAR (default var/)."
        )

    def _start(self, supervisor: Supervisor, demo_data: bool) -> None:
        self.stdout.write("Starting Compute-to-SSI on this machine")
        prepare.check_ports()
        prepare.migrate_all()
        self.stdout.write("  databases are ready, one per trust domain")
        supervisor.start("broker", "chain")
        self.stdout.write(f"  {prepare.deploy_contracts()}")
        supervisor.start("web", "worker")
        if demo_data:
            call_command("seed_demo", stdout=self.stdout)
        self.stdout.write(self.style.SUCCESS(f"\nOpen {settings.SITE_URL}   (stop with Ctrl-C)"))
