from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from marketplace.settlement import outbox
from marketplace.settlement.chain import encode_deployment
from marketplace.settlement.keys import signer
from marketplace.settlement.models import ChainTransaction, Deployment

GAS = 4_000_000
SECONDS = 60


class Command(BaseCommand):
    help = "Deploy our contracts on the pinned chain, once; tells where they are."

    def handle(self, *args: Any, **options: Any) -> None:
        admin, faucet = signer("admin").address(), signer("faucet").address()
        settler, payer, publisher = (signer(p).address() for p in ("settler", "payer", "publisher"))
        token = self._deploy("DevToken", [admin, faucet])
        pool = self._deploy("PayoutPool", [token, admin, payer, publisher])
        self._deploy("CollectiveEscrow", [token, pool, admin, settler, settings.DEVELOPMENT])
        self._deploy("SubscriptionRegistry", [admin, publisher])
        self.stdout.write(f"contracts are on chain {settings.CHAIN_ID}")

    def _deploy(self, name: str, arguments: list[Any]) -> str:
        """The address of a contract, deployed through the outbox if it is not there."""
        with transaction.atomic():
            row = outbox.enqueue(
                key=f"deploy:{name}:{settings.CHAIN_ID}",
                purpose="admin",
                to="",
                data=encode_deployment(name, arguments),
                gas=GAS,
            )
        limit = time.monotonic() + SECONDS
        while time.monotonic() < limit:
            found = Deployment.objects.filter(chain_id=settings.CHAIN_ID, name=name).first()
            if found is not None:
                return found.address
            row.refresh_from_db()
            if row.state == ChainTransaction.State.FAILED:
                raise CommandError(f"{name} could not be deployed: {row.error}")
            if not outbox.sweep():
                time.sleep(0.2)
        raise CommandError(
            f"{name} was not confirmed within {SECONDS} s; run the command again, it goes on where it is."
        )
