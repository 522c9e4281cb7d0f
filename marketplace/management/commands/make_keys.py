from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from marketplace.keys import ensure_keys, ensure_keys_apart
from marketplace.settings.roles import KEY_FILES


class Command(BaseCommand):
    help = "Make the key files of every role in a folder, keeping those that exist."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument(
            "--apart", action="store_true", help="a folder per role inside, with what that role may open"
        )

    def handle(self, *args: Any, folder: Path, apart: bool, **options: Any) -> None:
        if apart:
            ensure_keys_apart(folder, KEY_FILES)
            self.stdout.write(
                f"Give each role its folder in {folder}, and keep a copy of {folder / 'all'} where no server reads it."
            )
            return
        ensure_keys(folder)
        self.stdout.write(
            f"The key files are in {folder}. Give each role only its own, and all of them public.json."
        )
