"""Celery tasks: each calls one service. All are safe to lose and to repeat; the sweep finds what was lost."""

from __future__ import annotations

import logging
from typing import Any

from celery import shared_task

from aggregation.server import config
from aggregation.server.models import Round
from aggregation.server.services import seats, tampering, transitions
from aggregation.server.services.steps import quiet
from aggregation.server.services.steps import step_round as drive
from aggregation.server.states import COLLECTING, RUNNING

logger = logging.getLogger(__name__)
BUSY_RETRIES = 10
BUSY_SECONDS = 0.2


@shared_task(name="aggregator.step_round", ignore_result=True, bind=True, max_retries=BUSY_RETRIES)
def step_round(self: Any, round_id: int) -> None:
    """Take a round as far as it goes; look again when another worker has it, lest this wake-up is lost."""
    if not drive(round_id):
        raise self.retry(countdown=BUSY_SECONDS)


@shared_task(name="aggregator.sweep", ignore_result=True)
def sweep() -> None:
    """Deadlines, lost wake-ups, rounds whose worker died, wallets whose server process died."""
    seats.adopt_orphans()
    running = Round.objects.filter(step__in=[step.value for step in RUNNING])
    if not seats.somebody_lives():  # nobody could come, so only time ends a phase
        running = running.exclude(step__in=[step.value for step in COLLECTING], deadline__gt=config.now())
    for round_id in running.values_list("pk", flat=True):
        try:
            if not quiet(round_id):
                drive(round_id)
        except Exception as error:
            # One broken round must not hold up the others; the type alone says nothing about a wallet.
            logger.exception("a round could not be driven (%s)", type(error).__name__)
    transitions.remove_leftovers()
    tampering.forget_old()
