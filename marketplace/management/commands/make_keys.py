from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from marketplace.keys import ensure_keys


class Command(BaseCommand):
    help = "Make the key files of every role in a folder, keeping those that exist."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        ensure_keys(folder)
        self.stdout.write(
            f"The key files are in {folder}. Give each role only its own, and all of them public.json."
        )
