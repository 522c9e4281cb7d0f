from __future__ import annotations

from celery import shared_task

from marketplace.jobs import services


@shared_task(name="jobs.sweep", ignore_result=True)
def sweep() -> None:
    """Carry orders on: funded when their escrow is open, settled when everything is paid."""
    services.advance_orders()
