"""Celery tasks: each calls one service. All are safe to lose and to repeat; the sweep finds what was lost."""

from __future__ import annotations

import logging
import uuid

from celery import shared_task

from wallets.distributor.errors import AggregatorDown, AggregatorRefused, DistributorError
from wallets.distributor.models import Job, Round
from wallets.distributor.services import jobs, rounds, routes, standing

logger = logging.getLogger(__name__)


@shared_task(name="distributor.step_job", ignore_result=True)
def step_job(job_id: str) -> None:
    try:
        jobs.step(uuid.UUID(job_id))
    except AggregatorDown:
        logger.info("the aggregator is down; the sweep tells it the members later")


@shared_task(name="distributor.step_round", ignore_result=True)
def step_round(round_id: int) -> None:
    try:
        rounds.step(round_id)
    except AggregatorDown:
        logger.info("the aggregator is down; the sweep tells it the cohort later")


@shared_task(name="distributor.tell_left", ignore_result=True)
def tell_left(invitation_id: int) -> None:
    try:
        rounds.tell_left(invitation_id)
    except (AggregatorDown, AggregatorRefused):
        logger.info("the aggregator was not told that a wallet left; it finds out by waiting")


@shared_task(name="distributor.sweep", ignore_result=True)
def sweep() -> None:
    """Deadlines, lost wake-ups, unanswered calls to the aggregator."""
    routes.expire_mail()
    rounds.close_expired()
    _quietly(standing.fetch)
    for job_id in Job.objects.filter(state=Job.State.ENROLLING).values_list("id", flat=True):
        _quietly(lambda job_id=job_id: jobs.step(job_id))
    untold = Job.objects.filter(state=Job.State.FROZEN, members_told=False, log_size__gt=0)
    for job_id in untold.values_list("id", flat=True):
        _quietly(lambda job_id=job_id: jobs.step(job_id))
    running = Round.objects.filter(state__in=[Round.State.INVITING, Round.State.DELIVERING])
    for round_id in running.values_list("pk", flat=True):
        _quietly(lambda round_id=round_id: rounds.step(round_id))


def _quietly(work: object) -> None:
    try:
        work()  # type: ignore[operator]
    except DistributorError as error:
        logger.info("a step waits: %s", error.code)
