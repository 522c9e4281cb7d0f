"""Background work of "My wallet": one task that sends what waits."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from collectives import wakeups
from marketplace.individuals import services
from marketplace.individuals.services import letters

EVERY_SECONDS = 5
"""How often the timetable asks for `sweep`."""


@shared_task(name="individuals.sweep", ignore_result=True)
def sweep() -> None:
    """Carry on what people asked for; wake the letters where there may be one to write."""
    if not letters.nothing_to_write():
        wakeups.send("individuals.letters", expires=timezone.now() + timedelta(seconds=EVERY_SECONDS))
    services.sweep()


@shared_task(name="individuals.letters", ignore_result=True)
def send_letters() -> None:
    """Tell people by e-mail that a notice waits in their wallet, and remind them once."""
    letters.sweep()
