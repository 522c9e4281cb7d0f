"""`manage.py wallet_files`: write the fingerprints of the files of the wallet in a browser, or compare them with the list."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace import browser_wallet


class Command(BaseCommand):
    help = "Write static/wallet/files.json, which a release publishes; with --check only compare."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="only compare; writes nothing")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        made = browser_wallet.fingerprints()
        if not check:
            browser_wallet.LISTED.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        elif json.loads(browser_wallet.LISTED.read_text(encoding="utf-8")) != made:
            raise CommandError("The list is not of these files. Run `manage.py wallet_files` and commit it.")
        self.stdout.write(f"{len(made['files'])} files, release {made['release']}")
