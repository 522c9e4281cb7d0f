from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from marketplace.db_router import own_aliases
from marketplace.supervisor import prepare


class Command(BaseCommand):
    help = "Bring the tables of every database this process holds up to date (one process per role, before the others start)."

    def handle(self, *args: Any, **options: Any) -> None:
        prepare.migrate_all()
        self.stdout.write(f"The tables are up to date: {', '.join(own_aliases())}.")
