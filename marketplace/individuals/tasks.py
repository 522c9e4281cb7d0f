"""Background work of "My wallet": one task that sends what waits."""

from __future__ import annotations

from celery import shared_task

from marketplace.individuals import services


@shared_task(name="individuals.sweep", ignore_result=True)
def sweep() -> None:
    services.sweep()
