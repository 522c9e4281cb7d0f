"""Background work of "My wallet": one task that sends what waits."""

from __future__ import annotations

from celery import shared_task

from marketplace.individuals import services
from marketplace.individuals.services import letters


@shared_task(name="individuals.sweep", ignore_result=True)
def sweep() -> None:
    services.sweep()


@shared_task(name="individuals.letters", ignore_result=True)
def send_letters() -> None:
    """Tell people by e-mail that a notice waits in their wallet, and remind them once."""
    letters.sweep()
