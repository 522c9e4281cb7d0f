from __future__ import annotations

import structlog
from celery import shared_task

from marketplace.settlement import services
from marketplace.settlement.errors import ChainUnavailable, SettlementError

log = structlog.get_logger(__name__)
PASSES = 5


@shared_task(name="settlement.sweep", ignore_result=True)
def sweep_task() -> None:
    """Move the outbox while something moves."""
    for _ in range(PASSES):
        if not services.sweep():
            return


@shared_task(name="settlement.run_epoch", ignore_result=True)
def run_epoch_task() -> None:
    """Close an epoch, or go on with the unfinished one."""
    try:
        services.run_epoch()
    except (ChainUnavailable, SettlementError) as error:
        log.warning("epoch_waits", error=type(error).__name__)


@shared_task(name="settlement.reconcile", ignore_result=True)
def reconcile_task() -> None:
    """Compare ledger and chain."""
    try:
        report = services.reconcile()
    except (ChainUnavailable, SettlementError) as error:
        log.warning("reconciliation_waits", error=type(error).__name__)
        return
    if not report.ok:
        log.error("ledger_and_chain_differ", lines=len(report.differences()))
