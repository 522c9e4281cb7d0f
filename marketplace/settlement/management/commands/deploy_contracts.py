from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from marketplace.settlement import deployment
from marketplace.settlement.errors import ChainUnavailable, SettlementError


class Command(BaseCommand):
    help = "Put our contracts on the pinned chain (on a development chain Ocean's too), once."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            deployment.deploy()
        except (SettlementError, ChainUnavailable) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"contracts are on chain {settings.CHAIN_ID}")
