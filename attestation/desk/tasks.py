"""Celery tasks of the desk, for a site where one worker serves every role. A desk that stands alone sweeps by command (docs/attestation.md)."""

from __future__ import annotations

import logging

from celery import shared_task

from attestation.desk import services

logger = logging.getLogger(__name__)


@shared_task(name="issuer.sweep", ignore_result=True)
def sweep() -> None:
    """Erase the values of offers whose time is over. Safe to lose and to repeat."""
    erased = services.sweep()
    if erased:
        logger.info("%d offers were over; their values are erased", erased)
