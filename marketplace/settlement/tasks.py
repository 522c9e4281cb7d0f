from __future__ import annotations

import structlog
from celery import shared_task
from django.conf import settings

from marketplace.settlement import alarms, assets, outbox, sales, services
from marketplace.settlement.errors import ChainUnavailable, SettlementError

log = structlog.get_logger(__name__)
PASSES = 5


@shared_task(name="settlement.sweep", ignore_result=True)
def sweep_task(glance: bool = False) -> None:
    """Move the outbox while something moves.

    At a glance, every second, only where a transaction is on its way. What starts one wakes this task; a wish whose wake-up was lost is
    found by the sweep that looks at everything, every few seconds.
    """
    if glance and not outbox.unfinished():
        return
    for _ in range(PASSES):
        if not services.sweep():
            break
    # Where an epoch closes with its job, nothing else would close one for a model that is sold later.
    if settings.EPOCH_ON_JOB_END and sales.waiting():
        run_epoch_task()


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
