"""What an administrator must see before money stops: a platform key that runs out of native coin."""

from __future__ import annotations

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from marketplace.settlement import conf
from marketplace.settlement.chain import chain
from marketplace.settlement.keys import PURPOSES, signer
from marketplace.settlement.models import Signer

log = structlog.get_logger(__name__)


def look() -> list[str]:
    """Write down what the platform's keys hold; the purposes whose key holds too little.

    Raises:
        ChainUnavailable: the chain does not answer.
    """
    link, low = chain(), []
    for purpose in PURPOSES:
        try:
            address = signer(purpose).address()
        except ImproperlyConfigured:  # not every site has every key: a public chain needs no faucet
            continue
        mine = Signer.objects.filter(chain_id=settings.CHAIN_ID, address=address)
        if not mine.exists():
            continue
        held = link.native_balance(address)
        mine.update(balance=held, looked_at=timezone.now())
        if is_low(held):
            low.append(purpose)
            log.error("platform_key_runs_low", purpose=purpose, held=str(held), wanted=str(least()))
    return low


def least() -> int:
    """Wei below which a key raises the alarm."""
    return int(conf.get("CHAIN_LOW_BALANCE"))


def is_low(held: int) -> bool:
    return held < least()


def warnings() -> list[Signer]:
    """Platform keys that held too little when last looked at."""
    known = Signer.objects.filter(chain_id=settings.CHAIN_ID, balance__isnull=False, looked_at__isnull=False)
    return [row for row in known if row.balance is not None and is_low(int(row.balance))]
