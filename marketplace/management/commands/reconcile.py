from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketplace.settlement import services
from marketplace.settlement.errors import ChainUnavailable, SettlementError


class Command(BaseCommand):
    help = "Compare the ledger with the chain, line by line; fails when they differ."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = services.reconcile()
        except (ChainUnavailable, SettlementError) as error:
            raise CommandError(str(error)) from error
        for name, ledger, found in report.lines:
            self.stdout.write(f"{name}: {ledger} in the ledger, {found} on the chain")
        if not report.ok:
            raise CommandError("Ledger and chain differ; the lines above say where.")
