from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import structlog
from celery import shared_task
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from collectives import wakeups
from marketplace.settlement import alarms, assets, outbox, sales, services
from marketplace.settlement.errors import ChainUnavailable, SettlementError

log = structlog.get_logger(__name__)
PASSES = 5
GLANCE_SECONDS = 1
FOLLOWED, FOLLOWED_SECONDS = "settlement.sweep.followed", 3 * GLANCE_SECONDS


@shared_task(name="settlement.sweep", ignore_result=True)
def sweep_task(glance: bool = False) -> None:
    """Move the outbox while something moves, and look again in a second while a transaction is on its way.

    At a glance only where one is on its way. What starts one wakes this task; a wish whose wake-up was lost, and a transaction that
    nobody follows any more, is found by the sweep that looks at everything, every few seconds.
    """
    if glance:
        with suppress(
            Exception
        ):  # the glance that was sent is here: whoever starts something from now on may send the next
            cache.delete(FOLLOWED)
        if not outbox.unfinished():
            return
    for _ in range(PASSES):
        if not services.sweep():
            break
    # Where an epoch closes with its job, nothing else would close one for a model that is sold later.
    if settings.EPOCH_ON_JOB_END and sales.waiting():
        run_epoch_task()
    if outbox.unfinished() and _first_to_follow():
        expires = timezone.now() + timedelta(seconds=FOLLOWED_SECONDS)
        wakeups.send("settlement.sweep", True, countdown=GLANCE_SECONDS, expires=expires)


def _first_to_follow() -> bool:
    """One glance waits at a time, however many wake-ups there were."""
    try:
        return bool(cache.add(FOLLOWED, 1, FOLLOWED_SECONDS))
    except Exception as error:  # any trouble of the cache: one glance too many is better than none
        log.warning("cache_unreachable", error=type(error).__name__)
        return True


@shared_task(name="settlement.run_epoch", ignore_result=True)
def run_epoch_task() -> None:
    """Close an epoch, or go on with the unfinished one."""
    try:
        services.run_epoch()
    except (ChainUnavailable, SettlementError) as error:
        log.warning("epoch_waits", error=type(error).__name__)


@shared_task(name="settlement.reconcile", ignore_result=True)
def reconcile_task() -> None:
    """Compare ledger and chain; documents of assets with what they are about; platform keys with what they need."""
    try:
        assets.refresh()
        alarms.look()
        report = services.reconcile()
    except (ChainUnavailable, SettlementError) as error:
        log.warning("reconciliation_waits", error=type(error).__name__)
        return
    if not report.ok:
        log.error("ledger_and_chain_differ", lines=len(report.differences()))
