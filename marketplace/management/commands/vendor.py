"""`manage.py vendor`: fetch the vendored scripts and styles again, or compare them with their lists."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketplace import vendored


class Command(BaseCommand):
    help = "Fetch vendored scripts and styles (needs npm), or with --check compare them with their lists."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="only compare; needs no network")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        if not check:
            try:
                vendored.fetch()
            except RuntimeError as error:
                raise CommandError(str(error)) from error
        found = vendored.problems()
        if found:
            raise CommandError("\n".join(found))
        self.stdout.write(f"{len(vendored.FILES)} vendored files are the listed ones.")
